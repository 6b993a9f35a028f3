"""Stored spans → what a person sees.

``assembling`` reads windows and follows links into one raw tree; ``catalog`` lists the pure steps that make it
readable, in order; ``text`` and ``json_shape`` write it. Nothing here changes what is stored.
"""
