"""Changed item vectors: exported from a run, sent to a server or its state."""
