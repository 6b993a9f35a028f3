"""How our own process lives: its log, its tasks and what it tells about itself."""
