"""`python -m crosstower` is the command `crosstower`."""

from crosstower.cli.main import main

main()
