"""The retrieval of requests: users, the state of a request, and its candidates."""
