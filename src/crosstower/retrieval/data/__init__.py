"""Positive rows, histories, items and queries that retrievers are trained and measured on."""
