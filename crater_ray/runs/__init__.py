"""A run on disk: its record, manifest, parts, and the check of them."""
