"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# One server for all that want one: to make it takes seconds.
from tests.postgres_server import postgres as postgres
from tests.postgres_server import postgres_url as postgres_url

# How long Ray lets its raylet and its agents take to come up, before it gives up on all of them.
# Its own bounds are for a machine that does nothing else; tests run beside other tests.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")
# Workers, and so hosts and replicas, would be 15 nicer than what else the machine does: beside a
# few busy processes it takes them a minute to come up.
os.environ.setdefault("RAY_worker_niceness", "0")

# How long an example takes says how busy the machine is.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
