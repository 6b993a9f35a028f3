"""Pure steps, tree → new tree, one per file: no I/O, no clock, and no step knows another.

``explaining`` holds the rules by which ``causes`` finds what explains a fact. The order of steps and its
reasons stand in ``kubeweft.display.views.catalog``.
"""
