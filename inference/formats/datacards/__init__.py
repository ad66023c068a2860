"""Datacards of CMS Combine, read into workspaces."""
