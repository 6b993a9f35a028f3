"""Kubeweft shows what really happened to every object in a Kubernetes cluster, and why, as traces.

The path of the data is the order of the rooms: ``kube`` and ``sources`` bring facts in, ``weaving`` (with
``links``) turns them into spans, ``store`` keeps them, ``export`` sends them on, ``display`` shows them, and
``control`` listens to what the user declares. ``model`` holds the values all of them exchange.
"""
