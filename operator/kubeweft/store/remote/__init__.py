"""Trace stores of others, read as our own: Jaeger's storage over gRPC, or a running Jaeger over its query API.

A *source* fetches and searches traces (``storage``, ``query``); ``traces`` puts what it brings back into the traces of
single objects; ``reader`` answers what the display asks. Nothing is ever written here: that is what exporters do.
"""
