"""The values every room exchanges and the pure functions on them: no I/O, no clock, no randomness."""
