"""Data sets: seed craters, backgrounds, and images composed of them, on disk and in batches."""
