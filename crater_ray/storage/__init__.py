"""Where objects lie: folders, buckets and the web, one small interface."""
