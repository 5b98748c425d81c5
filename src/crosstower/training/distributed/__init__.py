"""Training by several processes: their world, and tables that they hold together."""
