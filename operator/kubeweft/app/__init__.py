"""The composition root: one file per thing that a person can start, and what they are put together from."""
