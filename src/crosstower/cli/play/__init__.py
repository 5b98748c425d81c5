"""`crosstower play`: a shop window on a bundle, whose clicks are events of the server."""
