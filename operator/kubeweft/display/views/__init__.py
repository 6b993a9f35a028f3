"""Views: which steps make a tree into an answer, and which objects around the one asked for are in it.

Both are data: ``builtin.yaml`` holds those that are shipped, and an installation may add its own.
"""
