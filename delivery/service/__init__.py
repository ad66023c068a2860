"""A ServiceX endpoint: `skimflow serve`. See "The service" in docs/architecture.md."""
