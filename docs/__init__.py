"""The documentation, and the check that what it names is there."""
