"""Turn columns into histograms: filesets, clusters and the coffea run."""
