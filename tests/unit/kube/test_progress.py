"""What a reflector remembers of what it has lost."""

from __future__ import annotations

from kubeweft.kube.progress import Lost, Progress
from kubeweft.kube.receiving import ResumePoint
from kubeweft.kube.watch_state import Phase


def test_a_first_list_misses_nothing() -> None:
    progress = Progress()
    progress.resume(ResumePoint("", 0))
    assert progress.version is None
    assert progress.missed() is None
    progress.listed_all("5")
    assert (progress.state().version, progress.state().relists) == ("5", 0)


def test_the_first_loss_stays_the_reason_until_a_list_is_complete() -> None:
    progress = Progress()
    progress.resume(ResumePoint("5", 100))
    progress.lost(Lost("Expired", "too old"))
    progress.listed_some(3)
    progress.lost(Lost("UndecodableLine", "later"))
    missed = progress.missed()
    assert missed is not None
    assert missed[:3] == ("Expired", "too old", 100)
    assert missed.end > 100
    progress.listed_all("9")
    assert progress.missed() is None
    state = progress.state()
    assert (state.version, state.relists, state.objects_listed) == ("9", 1, 3)


def test_a_gap_begins_where_the_last_version_was_handed_over() -> None:
    progress = Progress()
    progress.resume(ResumePoint("5", 100))
    progress.advanced("7", 2)
    received = progress.state().received
    progress.lost(Lost("Expired", "too old"))
    missed = progress.missed()
    assert missed is not None
    assert missed.start == received > 100
    assert progress.state().events_seen == 2


def test_since_is_when_the_phase_began() -> None:
    progress = Progress()
    progress.enter(Phase.WATCHING)
    since = progress.state().since
    progress.enter(Phase.WATCHING, "why")
    assert (progress.state().since, progress.state().message) == (since, "why")
    progress.enter(Phase.FORBIDDEN)
    assert progress.state().since > since
    assert progress.state().message == ""


def test_the_first_watch_is_no_reconnect() -> None:
    progress = Progress()
    for _ in range(3):
        progress.opened()
    assert progress.state().reconnects == 2
