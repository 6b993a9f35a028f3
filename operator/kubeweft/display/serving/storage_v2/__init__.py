"""Jaeger v2 reads Kubeweft as its storage: ``jaeger.storage.v2`` over gRPC."""
