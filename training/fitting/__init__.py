"""Fitting the network: schedule, checkpoints, initial weights, pruning, calibration."""
