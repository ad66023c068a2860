"""The report: one folder with a self-contained page, figures and tables."""
