"""Puts a runner together in this process, with or without Ray around it."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from heliostat.actors.objects.shared import SharedBlobs
from heliostat.engine.errors import ConfigurationError
from heliostat.engine.journal.blobs import FileBlobStore

from .attempt import Attempts
from .connection import Presence
from .modules import Modules
from .runner import Runner
from .secrets import Secrets
from .service import Service
from .settings import RunnerSettings

_log = logging.getLogger(__name__)


class RunnerProcess:
    """A runner and its socket; `called.py` adds the way by Ray calls."""

    def __init__(self, settings: RunnerSettings) -> None:
        self._settings = settings
        blobs = SharedBlobs(FileBlobStore(Path(settings.blobs)), settings.objects)
        modules = Modules(blobs, settings.scratch_path, settings.code)
        secrets = Secrets(Path(settings.secrets_file) if settings.secrets_file else None)
        attempts = Attempts(runner=settings.name, blobs=blobs, modules=modules, secrets=secrets)
        self.runner, self.present = Runner(attempts), Presence()
        self._service = Service(settings, self.runner, self.present, on_orphaned=self._orphaned)

    def run(self) -> NoReturn:
        """Make attempts in this thread until told to leave, then end the process."""
        _stand_back(self._settings)
        self._service.start()
        self.runner.run()
        self._exit()

    def run_in_background(self) -> None:
        """The same in a thread of its own; failing to listen ends the process."""
        threading.Thread(target=self._run_or_exit, name="heliostat-executor", daemon=True).start()

    def _run_or_exit(self) -> None:
        try:
            self.run()
        except (OSError, ConfigurationError):
            _log.exception("runner %s cannot listen", self._settings.name)
            self._exit()

    def _orphaned(self) -> None:
        _log.warning("runner %s has no host any more and exits", self._settings.name)
        self._exit()

    def _exit(self) -> NoReturn:
        """End now: threads of user code, however stuck, do not keep the process."""
        self._service.close()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


def _stand_back(settings: RunnerSettings) -> None:
    """Leave CPU and memory to the hosts. Linux keeps niceness by thread; new ones inherit it."""
    if faulthandler.is_enabled() is False:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            faulthandler.enable(sys.__stderr__ or 2)
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice < settings.nice:
        os.setpriority(os.PRIO_PROCESS, 0, settings.nice)
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        if int(score.read_text()) < settings.oom_score_adj:
            score.write_text(str(settings.oom_score_adj))
