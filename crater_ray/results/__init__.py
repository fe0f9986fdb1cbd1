"""What is done with the rows of a run."""
