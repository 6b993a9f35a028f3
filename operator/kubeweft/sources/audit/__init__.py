"""The audit log: who asked the API server for what, and how it was answered.

The path of the data: ``webhook`` or ``files`` bring bytes in, ``decoding`` (with ``wire``, and ``splitting`` where one
event is broken) makes audit events of them, ``parsing`` makes requests of these, and ``trust`` decides what a response
body may say about its object.
"""
