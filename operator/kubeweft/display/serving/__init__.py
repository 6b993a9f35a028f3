"""Serving: what trace viewers ask over the network, answered in their own protocols."""
