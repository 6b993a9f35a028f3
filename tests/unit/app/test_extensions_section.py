"""The settings that name other trace stores and our own OTLP endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeweft.app.extensions import extensions_of, join_rules
from kubeweft.app.serving import serve_options
from kubeweft.display.extensions.wanting import BUILTIN_RULES, JoinRule
from kubeweft.model.errors import UserError
from kubeweft.settings import load
from kubeweft.store.sqlite import SqliteStore
from memory_reader import MemoryReader

SECTION = (
    '[[extensions.sources]]\ntype = "tempo"\nurl = "http://tempo:3200"\n'
    '[[extensions.sources]]\ntype = "jaeger"\nname = "mine"\nurl = "http://jaeger:16686/base/"\nservices = ["apiserver"]\n'
    '[[extensions.joins]]\nattribute = "request.id"\nto = "audit-id"\n'
)


def test_the_section_of_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.toml"
    file.write_text(f'otlp_listen = "127.0.0.1:4317"\n{SECTION}')
    settings = load(flags={}, file=file)
    found = extensions_of(serve_options(settings).extensions, MemoryReader([]))
    assert found is not None
    assert [source.name for source in found.sources] == ["tempo at tempo:3200", "mine"]
    assert join_rules(settings.extensions) == (*BUILTIN_RULES, JoinRule("request.id", "audit-id"))


def test_the_same_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "extensions.yaml"
    file.write_text("sources: [{type: tempo, url: 'http://tempo:3200', tenant: a}]\ntimeout: 2s\n")
    with SqliteStore(tmp_path / "store.db") as store:
        found = extensions_of(str(file), store)
    assert found is not None
    assert [source.name for source in found.sources] == ["the embedded store", "tempo at tempo:3200"]
    assert found.limits.seconds == 2


def test_without_any_only_the_embedded_store_is_asked(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        found = extensions_of("", store)
        assert found is not None
        assert [source.is_empty for source in found.sources] == [True]
    assert extensions_of("", MemoryReader([])) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sources: [{type: jaeger}]", "url"),
        ("sources: [{type: tempo, url: 'http://localhost', token_file: /nowhere}]", "/nowhere"),
        ("- a", "write `sources:`"),
        ("a: [", "cannot read"),
    ],
)
def test_a_wrong_file_is_a_clear_error(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "extensions.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=told) as error:
        extensions_of(str(file), MemoryReader([]))
    assert str(file) in str(error.value)


def test_a_missing_file_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="cannot read the extensions in /nowhere"):
        join_rules("/nowhere")


def test_addresses_are_checked_with_the_other_settings() -> None:
    with pytest.raises(UserError, match="otlp_listen: must be HOST:PORT"):
        load(flags={"otlp_listen": "4317"}, file=None)
