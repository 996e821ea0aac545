"""`python -m heliostat.api.cli`: the command line where no script is installed."""

from heliostat.api.cli.app import main

main()
