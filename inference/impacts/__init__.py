"""Impacts of nuisance parameters: by refits, from the covariance, of global observables, of groups; and pulls."""
