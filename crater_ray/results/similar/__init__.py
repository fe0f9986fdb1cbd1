"""Candidates that look alike."""
