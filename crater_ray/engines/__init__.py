"""Engines: ways to compute a bundle's network on a device."""
