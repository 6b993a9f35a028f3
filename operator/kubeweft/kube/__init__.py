"""The only room that talks to a Kubernetes API: clients, discovery, and the watches that bring objects in.

It never writes to what it watches. The single write it knows is the status of Kubeweft's own resources.
"""
