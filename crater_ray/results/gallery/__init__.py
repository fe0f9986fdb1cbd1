"""Candidates as pages that open from disk."""
