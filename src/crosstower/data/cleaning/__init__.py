"""Raw cells checked and brought into one form."""
