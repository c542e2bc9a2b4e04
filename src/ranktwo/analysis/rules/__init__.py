"""Rank rules: what counts as a singular value that is not zero."""
