"""What a server keeps on disk: items, events, locks."""
