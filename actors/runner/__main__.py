"""A runner as a plain process: `python -m heliostat.actors.runner --socket … --blobs …`."""

from __future__ import annotations

import argparse
import signal

from .process import RunnerProcess
from .settings import NICE, OOM_SCORE_ADJ, ORPHAN_MS, RunnerSettings


def main() -> None:
    """Read the command line and run until told to leave."""
    parser = argparse.ArgumentParser(prog="heliostat.actors.runner", description=__doc__)
    parser.add_argument("--socket", required=True, help="path of the Unix-domain socket")
    parser.add_argument("--blobs", required=True, help="folder of the blob store")
    parser.add_argument("--deployment", required=True, help="id of the deployment it serves")
    parser.add_argument("--name", required=True, help="its name in reports")
    parser.add_argument("--code", action="append", default=[], help="folder of users' modules")
    parser.add_argument("--secrets-file", help="file of secrets by name")
    parser.add_argument("--scratch", help="folder for unpacked code bundles")
    parser.add_argument("--orphan-ms", type=int, default=ORPHAN_MS)
    parser.add_argument("--nice", type=int, default=NICE)
    parser.add_argument("--oom-score-adj", type=int, default=OOM_SCORE_ADJ)
    given = vars(parser.parse_args())
    settings = RunnerSettings(**{**given, "code": tuple(given["code"])})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for its host
    RunnerProcess(settings).run()


if __name__ == "__main__":
    main()
