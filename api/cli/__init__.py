"""The command line `heliostat`.

`main` is its entry point. `app.py` lists the commands and turns errors into exit codes, `output.py`
is all that writes to a terminal, `story.py` words histories, `inputs.py` reads values. The other
modules hold the commands, each of which parses, makes one call and prints. Modules that import Ray
are imported inside commands, so that `--help` and reads of the journal are quick.
"""

from heliostat.api.cli.app import main

__all__ = ["main"]
