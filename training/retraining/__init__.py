"""Retraining a bundle with images that people judged."""
