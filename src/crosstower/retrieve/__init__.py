"""From vectors to answers: item indexes and filters by attributes."""
