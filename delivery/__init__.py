"""Bring the columns: the transform engine and the endpoints that run it."""
