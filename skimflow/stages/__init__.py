"""The stages of a pipeline: for each its keys, its look-up and its run."""
