"""Plans of trainings on several devices: memory, exchanged bytes and speed."""
