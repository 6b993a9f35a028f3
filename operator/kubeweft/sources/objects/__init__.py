"""Objects as watches show them: from raw watch bytes to changes between versions.

``receiving`` ties everything to the watch of one resource type, in the right order. ``facts`` reads one object, ``memory``
keeps the last version of every object as compressed bytes, ``differing`` compares and makes the changes. ``absorbing``
shows what comes to all that are concerned: to the differ, by ``witnessing`` to those who choose objects by what is in
them, by ``linking`` to the rules. ``listing`` knows what a complete list leaves out, ``progress`` what is written when.
"""
