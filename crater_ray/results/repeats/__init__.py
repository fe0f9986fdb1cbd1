"""Artefacts that repeat: candidates that are one thing seen again and again."""
