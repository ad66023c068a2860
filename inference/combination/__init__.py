"""Several workspaces as one: channels joined, parameters correlated as a map says."""
