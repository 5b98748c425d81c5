"""One notion of time: any time column becomes Int64 nanoseconds since 1970-01-01 UTC."""
