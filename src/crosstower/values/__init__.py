"""One canonical form per value: the same id, text or number from every source."""
