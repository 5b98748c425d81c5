"""An open bundle that answers many requests, while items come and go."""
