"""The online funnel: answers requests while items change."""
