"""Turn histograms into results: templates, workspace, fit and figures."""
