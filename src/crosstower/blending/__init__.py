"""A run's predictions blended into one order, measured, shown and kept."""
