"""From the store to one raw tree: ``following`` reads along links, ``placing`` gives each object one place.

``climbing`` finds parents, ``neighbours`` what is linked beside the tree, ``around`` what concerned whole types;
``assembling`` puts it together. What limits
leave out is counted in ``left_out``. ``resolving`` and ``searching`` find the object that somebody means.
"""
