"""Where a file's bytes lie, and how ranges of them are fetched in few round trips."""
