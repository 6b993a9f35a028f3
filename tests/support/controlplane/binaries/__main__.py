"""`python -m controlplane.binaries [PROGRAM…]`: make sure that the programs are there, and print where.

Without arguments: all that the control plane needs.
"""

import sys

from controlplane.binaries.building import BuildFailed
from controlplane.binaries.finding import AssetsMissing, find_binaries
from controlplane.binaries.progress import TerminalProgress
from controlplane.binaries.recipes import CONTROL_PLANE, RECIPES
from controlplane.binaries.toolchain import NoToolchain


def main(arguments: list[str]) -> int:
    """Exit status 0 with one `name path` line a program, 1 with the reason on stderr, 2 for a name nobody builds."""
    known = [program for recipe in RECIPES for program in recipe.programs]
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"no recipe builds {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        found = find_binaries(TerminalProgress(), programs=arguments or CONTROL_PLANE)
    except (BuildFailed, AssetsMissing, NoToolchain) as error:
        print(error, file=sys.stderr)
        return 1
    for name, path in found.programs.items():
        print(name, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
