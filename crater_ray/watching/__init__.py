"""Watching a scan: progress, display, log, metrics."""
