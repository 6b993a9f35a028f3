"""Run as a script: `python exec_with_parent.py PARENT_PID COMMAND…` becomes COMMAND, killed by the kernel when its parent dies.

A small program instead of `preexec_fn`, which is unsafe (and warned about) in a process with threads. Linux only; elsewhere it
just becomes the command.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Does not return."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the signal was asked for
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
