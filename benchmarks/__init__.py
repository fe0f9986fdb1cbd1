"""Measuring: every figure of the README comes from a command of this package."""
