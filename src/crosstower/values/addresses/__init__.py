"""Files at addresses such as s3://bucket/key: their names, and how they are listed and read."""
