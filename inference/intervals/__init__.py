"""Profiled likelihoods: intervals, scans and contours of one or two parameters, all others refitted."""
