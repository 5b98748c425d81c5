"""Many task scores become one order, comparable across content types."""
