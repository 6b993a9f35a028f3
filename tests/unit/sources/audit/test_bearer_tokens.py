"""The bearer token of the audit webhook: who is let in, and how it is renewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeweft.model.errors import UserError
from kubeweft.sources.audit.credentials import BearerToken


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    return file


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "])
def test_the_token_is_let_in(file: Path, header: str) -> None:
    assert BearerToken(file).admits(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "s3cret",
        "Bearer",
        "Bearer ",
        "Bearer s3cre",
        "Bearer s3cret2",
        "Basic s3cret",
        "Bearer \udcff",
        "Bearer ä",
    ],
)
def test_everything_else_is_not(file: Path, header: str) -> None:
    assert not BearerToken(file).admits(header)


def renew(file: Path, content: str) -> None:
    """Replace a file as a Secret volume does: by a new one."""
    new = file.with_suffix(".new")
    new.write_text(content)
    new.rename(file)


def test_a_renewed_token_takes_effect(file: Path) -> None:
    token = BearerToken(file)
    renew(file, "other")
    assert token.admits("Bearer other")
    assert not token.admits("Bearer s3cret")


@pytest.mark.parametrize("broken", ["", "   \n", None])
def test_a_broken_renewal_leaves_the_old_token(file: Path, broken: str | None) -> None:
    token = BearerToken(file)
    if broken is None:
        file.unlink()
    else:
        renew(file, broken)
    assert token.admits("Bearer s3cret")
    assert not token.admits("Bearer ")


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_refused_at_the_start(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(UserError, match="empty"):
        BearerToken(file)


def test_a_missing_file_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        BearerToken(tmp_path / "missing")
