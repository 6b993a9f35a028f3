"""``python -m kubeweft``."""

from kubeweft.cli import main

main()
