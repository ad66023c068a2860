"""Keep what was computed: a content-addressed store of blobs and entries."""
