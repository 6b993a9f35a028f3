"""Spans out: the spool on disk is drained to OTLP receivers, in order, at least once, the same bytes on every send.

The path of a span: ``exporter`` reads it from the spool, ``kubeweft.otlp`` makes its bytes, ``delivery`` brings it to the
receiver (waiting, repeating, or finding the one span that a receiver refuses), ``sending`` speaks gRPC or HTTP.
"""
