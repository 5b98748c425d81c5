"""Report pages: what they show, their plots and their templates."""
