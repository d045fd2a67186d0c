"""A copy of MovieNet on disk: what is there (`doctor`), and its stories as clips (`ingest`)."""
