"""A retrieval run: trained, evaluated, opened again to recommend and to search."""
