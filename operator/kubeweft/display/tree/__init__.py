"""A tree of objects and facts: what reading makes, steps change, and writing and answering show."""
