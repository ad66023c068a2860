"""Templates of systematic uncertainties made fit for a fit: symmetrised, smoothed, pruned."""
