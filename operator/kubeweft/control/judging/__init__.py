"""What is said about a declaration: conditions and status, from its verdict and the health of the data path. Pure."""
