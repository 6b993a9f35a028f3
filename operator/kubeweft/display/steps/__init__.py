"""Pure steps, tree → new tree, one per file: no I/O, no clock, and no step knows another.

Their order and its reasons stand in ``kubeweft.display.views.catalog``.
"""
