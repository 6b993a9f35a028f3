"""Stored spans → what a person sees.

``assembling`` puts one raw tree together: ``following`` reads along links to children, ``placing`` gives each object
one place, ``neighbours`` reads what is linked beside the tree. ``catalog`` lists the pure steps that make it readable,
in order; ``text`` and ``json_shape`` write it. Nothing here changes what is stored.
"""
