"""The online funnel: serves requests while items change."""
