"""Where objects lie: folders and S3, one small interface."""
