"""Flags win over the environment, which wins over the file; all errors are told at once."""

from pathlib import Path

import pytest

from kubeweft.model.errors import UserError
from kubeweft.settings import load, own_namespace, parse_address

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  what ":PORT" asks for


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBEWEFT_NAMESPACE", "KUBEWEFT_CLUSTER", "KUBEWEFT_STORE", "KUBEWEFT_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)


def test_defaults_need_nothing() -> None:
    settings = load(flags={}, file=None)
    assert (settings.cluster, settings.store, settings.window_seconds) == ("local", "kubeweft.db", 1800)


def test_order_of_strength(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kubeweft.toml"
    file.write_text('cluster = "file"\nstore = "file.db"\nlog_level = "error"\n')
    monkeypatch.setenv("KUBEWEFT_CLUSTER", "environment")
    monkeypatch.setenv("KUBEWEFT_STORE", "environment.db")
    settings = load(flags={"cluster": "flag", "store": None}, file=file)
    assert (settings.cluster, settings.store, settings.log_level) == ("flag", "environment.db", "error")


def test_all_errors_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEWEFT_LOG_LEVEL", "loud")
    with pytest.raises(UserError) as caught:
        load(flags={"cluster": "Not A Name", "audit_listen": "9443", "window_seconds": 1}, file=None)
    told = str(caught.value)
    for field in ("cluster:", "audit_listen: must be HOST:PORT", "window_seconds:", "log_level:"):
        assert field in told


@pytest.mark.parametrize(
    ("content", "told"),
    [("cluster = ", "no valid TOML"), ("clutser = 'x'", "clutser"), (None, "cannot read")],
)
def test_a_bad_file_is_told_by_name(tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "kubeweft.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=told):
        load(flags={}, file=file)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9443", ("127.0.0.1", 9443)), (":0", (ALL_ADDRESSES, 0)), ("[::1]:80", ("::1", 80))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:http", "h:70000", "h:-1"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_the_namespace_is_the_pods_own(tmp_path: Path) -> None:
    assert own_namespace(tmp_path) == "kubeweft-system"
    (tmp_path / "namespace").write_text("tracing\n")
    assert own_namespace(tmp_path) == "tracing"
    (tmp_path / "namespace").write_text("")
    assert own_namespace(tmp_path) == "kubeweft-system"
    (tmp_path / "namespace").write_bytes(b"\xff")
    assert own_namespace(tmp_path) == "kubeweft-system"


def test_a_namespace_that_is_given_counts() -> None:
    assert load(flags={"namespace": "elsewhere"}, file=None).namespace == "elsewhere"
    with pytest.raises(UserError, match="namespace:"):
        load(flags={"namespace": ""}, file=None)


@pytest.mark.parametrize("service", ["name", "a/b/c", "/", "a/", "/b", "a b/c"])
def test_a_service_is_named_with_its_namespace(service: str) -> None:
    assert load(flags={"admission_service": "ns/name"}, file=None).admission_service == "ns/name"
    with pytest.raises(UserError, match="admission_service:"):
        load(flags={"admission_service": service}, file=None)
