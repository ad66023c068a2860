"""Limits on new signals in a preserved workspace."""
