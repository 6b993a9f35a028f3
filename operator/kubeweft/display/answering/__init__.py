"""A tree as spans: what is the same whether it is asked for by gRPC or HTTP."""
