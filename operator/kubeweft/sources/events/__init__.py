"""Kubernetes Events: what components tell about objects, whether met by a watch or in an audited write.

``body`` is the Event as sent in either API group, ``parsing`` makes an observation of it, ``pending`` keeps those
whose kind is not known yet, and ``watching`` takes them from the watch.
"""
