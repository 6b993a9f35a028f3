"""Our own OTLP endpoint: spans of other components, over gRPC and HTTP, into the store.

Begin reading at ``intake.py``; ``grpc_server.py`` and ``http_server.py`` are two ways to it.
"""
