"""Images: listed, fetched, and decoded to gray pixels."""
