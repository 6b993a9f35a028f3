"""Spans of other tracing systems for a tree: which are wanted, where they are asked for, and which of them belong.

Begin reading at ``joining.py``.
"""
