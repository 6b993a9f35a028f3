"""Where the programs of the test control plane come from: an installed set, a per-user cache, or one build from Go modules.

Standard library only, so that it works in any virtual environment; it downloads nothing but Go modules and PyPI's Go.
"""
