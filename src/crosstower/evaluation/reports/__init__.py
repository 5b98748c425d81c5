"""Report pages: their contents, plots and templates."""
