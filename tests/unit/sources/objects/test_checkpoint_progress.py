"""What the next checkpoint holds, and when it is due."""

from __future__ import annotations

from kubeweft.sources.objects.progress import CHECKPOINT_EVERY, MOST_DIRTY, Checkpoints, Progress
from watched_objects import UID, differ_of, watched


def test_of_an_object_that_went_and_came_the_newer_counts() -> None:
    progress, newer = Progress("5"), Progress("6")
    progress.keep("went", "default", "a")
    progress.drop("came")
    newer.drop("went")
    newer.keep("came", "default", "b")
    progress.take(newer)
    assert progress == Progress("6", {"came": ("default", "b")}, {"went"})
    progress.take(Progress())
    assert progress.version == "6"


def test_it_is_due_after_a_while() -> None:
    times = iter([5, 5 + CHECKPOINT_EVERY - 1, 5 + CHECKPOINT_EVERY])
    checkpoints = Checkpoints(differ_of(), lambda: next(times))
    assert [checkpoints.are_due, checkpoints.are_due] == [False, True]


def test_it_is_due_after_many_changes() -> None:
    checkpoints = Checkpoints(differ_of(), lambda: 0)
    for number in range(MOST_DIRTY):
        assert not checkpoints.are_due
        checkpoints.progress.keep(str(number), "default", "demo")
    assert checkpoints.are_due


def test_it_holds_what_is_remembered_and_begins_anew_at_its_version() -> None:
    differ = differ_of()
    differ.absorb("ADDED", watched(5), received=1)
    checkpoints = Checkpoints(differ, lambda: 7)
    checkpoints.progress.keep(UID, "default", "demo")
    news = [checkpoints.have_news]  # there is no version to begin at
    checkpoints.progress.version = "9"
    news.append(checkpoints.have_news)
    made = checkpoints.make()
    news.append(checkpoints.have_news)
    assert (made.version, made.time, [one.name for one in made.versions]) == ("9", 7, ["demo"])
    assert checkpoints.progress == Progress("9")
    assert news == [False, True, False]
