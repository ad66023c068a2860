"""Workspaces in other formats than pyhf's JSON: HS3, HistFactory XML with ROOT files, Combine datacards."""
