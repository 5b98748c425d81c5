"""The server: a bundle over HTTP, what it keeps on disk, and its page."""
