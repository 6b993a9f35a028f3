"""A tree for the terminal and for programs: rows, text, JSON."""
