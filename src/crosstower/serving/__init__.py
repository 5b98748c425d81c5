"""Serving: bundles, exported models, the HTTP server and its state on disk."""
