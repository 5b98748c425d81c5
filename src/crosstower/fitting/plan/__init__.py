"""Plans of training runs on several devices: memory, exchanged bytes and speed."""
