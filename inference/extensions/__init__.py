"""Models beyond HistFactory: parameters as functions of others, and terms that tie parameters together."""
