"""Item indexes: exact, approximate and Milvus, with filters on attributes."""
