"""The state of a server on disk: items, events, locks."""
