"""People's verdicts on images."""
