"""A real browser for tests: Debian's Chromium, driven over its own DevTools protocol, and the UI of Jaeger to look at."""
