"""Training the finder: every position of endless scenes says whether a crater is centred there, and how large."""
