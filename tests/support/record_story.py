"""Records stories on real control planes: ``python tests/support/record_story.py OUTPUT [STORY …]``.

Each story (all of them unless named; they are in :mod:`story_scenes` and :mod:`weekly_scenes`) is played once and written to
``OUTPUT/STORY/recorded.jsonl`` (``.zst`` if it is large), as JSON lines in order of arrival:
``{"at": ns, "watch": "pods", "line": {…}}`` or ``{"at": ns, "audit": {…}}``, with ``"cluster"`` where there are several.
Golden texts are of one recording: after recording anew into ``tests/stories``, write and review them again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from story_scenes import SCENES
from weekly_scenes import WEEKLY

KNOWN = {**SCENES, **WEEKLY}


def main(output: Path, stories: list[str]) -> None:
    """Record some stories, one after the other."""
    if unknown := [story for story in stories if story not in KNOWN]:
        sys.exit(f"there is no story {unknown[0]}: {', '.join(KNOWN)}")
    for story in stories or KNOWN:
        with tempfile.TemporaryDirectory() as work:
            lines = KNOWN[story](Path(work), output / story)
        print(f"{lines} lines in {output / story}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
