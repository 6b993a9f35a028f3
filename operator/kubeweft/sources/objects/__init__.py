"""Objects as watches show them: from raw watch bytes to changes between versions.

``facts`` reads one object, ``memory`` keeps the last version of every object as compressed bytes, ``differing``
compares and makes the changes, and ``receiving`` ties them to the watch of one resource type.
"""
