"""One file a format: a path in, a `RawTable` out."""
