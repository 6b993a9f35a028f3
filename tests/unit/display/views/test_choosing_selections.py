"""A selection written in one word."""

from __future__ import annotations

import pytest

from kubeweft.display.tree.selection import Selection
from kubeweft.display.views.choosing import choose_selection
from kubeweft.display.views.definitions import Views
from kubeweft.model.errors import UserError

OWNED = Selection(name="owned")
WIDE = Selection(name="wide", up=8, siblings=True, linked="full", roles=frozenset({"Parent"}))
VIEWS = Views(views={}, selections={one.name: one for one in (OWNED, WIDE)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", OWNED),
        ("owned", OWNED),
        ("wide", WIDE),
        ("down=0", Selection(name="owned", down=0)),
        ("siblings", Selection(name="owned", siblings=True)),
        ("owned, up=32 ,down=1,siblings", Selection(name="owned", up=32, down=1, siblings=True)),
        ("linked=NONE", Selection(name="owned", linked="none")),
        (
            "role=peer,role=Child,class=RunsOn,class=Selects",
            Selection(
                name="owned", roles=frozenset({"Peer", "Child"}), classes=frozenset({"RunsOn", "Selects"})
            ),
        ),
        (
            "wide,siblings=false,role=Peer",
            Selection(name="wide", up=8, linked="full", roles=frozenset({"Peer"})),
        ),
    ],
)
def test_what_it_means(text: str, expected: Selection) -> None:
    assert choose_selection(text, VIEWS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "there is no selection 'no': choose one of owned, wide"),
        ("owned,up", "0 to 32"),
        ("up=-1", "0 to 32"),
        ("up=33", "0 to 32"),
        ("owned,linked=all", "choose one of auto, none, names, full"),
        ("owned,role=Friend", "choose one of Parent, Child, Peer"),
        ("owned,class=", "after its name come"),
        ("owned,siblings=maybe", "after its name come"),
        ("owned,wide", "after its name come"),
    ],
)
def test_every_mistake_says_what_there_is(text: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        choose_selection(text, VIEWS)
