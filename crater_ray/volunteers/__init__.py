"""What volunteers are shown of a run, and what they say of it."""
