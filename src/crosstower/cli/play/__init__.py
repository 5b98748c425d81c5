"""`crosstower play`: a shop page for a bundle; its clicks are stored as events."""
