"""The parts of the embedded store, from the file upwards.

``schema`` (the file and its tables), ``failures`` (what SQLite's errors mean), ``bulk`` (many rows in one step),
``packing`` and ``bodies`` (a span as few bytes), ``places`` (clusters, types, objects and windows as small numbers),
``recording`` and ``remembering`` (writing), ``reading`` and ``searching``. Only ``kubeweft.store.sqlite`` is for other
rooms.
"""
