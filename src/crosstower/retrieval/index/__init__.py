"""Item indexes: exact, approximate, Milvus and pgvector, with filters on attributes."""
