"""Refusing bad policies and rules when they are applied, and not only in their status.

A convenience, never a dependency: whatever fails here lets the request through, and the status says the same later.
"""
