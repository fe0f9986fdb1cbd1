"""Evaluation: figures, their uncertainty, tables, plots and pictures."""
