"""Observations and links become spans. Pure: what goes in decides every byte that comes out.

``spans_of`` turns one observation into its span; ``lineage`` knows which objects were active in which window and who
owns them; ``weaver`` puts the two together.
"""
