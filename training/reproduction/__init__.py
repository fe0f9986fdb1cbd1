"""The original's own claim, by its own protocol."""
