"""Kopf, in a thread of its own: its handlers pass on what was seen, and nothing else."""
