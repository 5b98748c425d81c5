"""`python -m crosstower` is the command `crosstower`."""

from crosstower.cli import main

main()
