"""Where in an image a crater is, and how large."""
