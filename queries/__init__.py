"""What to ask: the query language and the analyses' own queries."""
