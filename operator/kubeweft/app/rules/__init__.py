"""What ``kubeweft rules`` does: LinkRules from files or a cluster, compiled, explained, and tried on objects.

Begin reading at :mod:`kubeweft.app.rules.trying`. Nothing here changes anything in a cluster.
"""
