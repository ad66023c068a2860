"""Tests of hypotheses about one parameter of interest: CLs, upper limits and the significance of a discovery."""
