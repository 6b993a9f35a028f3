"""What parameters are read from."""

from __future__ import annotations

import pytest

from kubeweft.display.steps.parameters import Duration, Template, read_parameter


def test_durations_are_nanoseconds() -> None:
    assert [Duration.read(text) for text in ("10s", "2h30m", "1ms")] == [10**10, 9_000 * 10**9, 10**6]


@pytest.mark.parametrize("wrong", ["soon", "", "-5s", 10, None, True])
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        Duration.read(wrong)


def test_templates_are_filled_and_collapse_blanks() -> None:
    template = Template.read("{verb} of  {{{kind}}}")
    assert template.fill({"verb": "patch", "kind": "Pod"}.__getitem__) == "patch of {Pod}"
    assert template.fill({"verb": "", "kind": "Pod"}.__getitem__) == "of {Pod}"
    assert template.fill(lambda _: "") == ""
    assert Template.read("{kind}").fill(lambda _: " a\n b ") == "a b"
    assert (Template.read("plain").fill(lambda _: "x"), Template.read("").fill(lambda _: "x")) == (
        "plain",
        "",
    )
    assert (template.asks_for("kind"), template.asks_for("name")) == (True, False)


def test_only_what_is_ours_is_read_here() -> None:
    assert read_parameter(Duration, "1s") == 10**9
    assert read_parameter(Template, "x").text == "x"
    assert read_parameter(int, 3) == 3
