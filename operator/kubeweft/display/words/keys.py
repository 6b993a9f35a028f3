"""How a message names an object: as its key is written, but without the empty namespace of what is in none."""

from __future__ import annotations

from kubeweft.model.references import ObjectKey


def key_in_words(key: ObjectKey) -> str:
    """``deployments.apps/shop/web``, ``nodes/node-1``."""
    return str(key) if key.namespace else str(key).replace("//", "/", 1)
