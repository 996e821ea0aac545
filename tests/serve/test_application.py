"""The Serve application that is made of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliostat.api.serve import app
from heliostat.cluster.config import load_configuration


def made(tmp_path: Path, **flags: Any) -> Any:
    """The one deployment of the application, as Serve has it."""
    configuration = load_configuration({"data_dir": tmp_path, **flags}, environment={})
    return app.application(configuration, node_resource="heliostat_x")._bound_deployment


def test_replicas_take_no_cpu_and_are_where_the_data_directory_is(tmp_path: Path) -> None:
    options = made(tmp_path).ray_actor_options
    assert options["num_cpus"] == 0
    assert list(options["resources"]) == ["heliostat_x"]


def test_so_many_replicas_as_are_configured(tmp_path: Path) -> None:
    assert made(tmp_path, http_replicas=3).num_replicas == 3


def test_serve_may_add_some_under_load(tmp_path: Path) -> None:
    scaling = made(tmp_path, http_replicas=2, http_replicas_max=5)._deployment_config
    assert scaling.autoscaling_config.min_replicas == 2
    assert scaling.autoscaling_config.max_replicas == 5


def test_a_password_in_the_journal_s_url_is_not_stored_with_serve(tmp_path: Path) -> None:
    deployment = made(tmp_path, journal="postgresql://o:secret@db/orders")
    (configuration,) = deployment.init_args
    assert configuration.journal is None


def test_deployment_files_name_a_builder_of_it(tmp_path: Path) -> None:
    built = app.build({"data_dir": str(tmp_path)})
    assert built._bound_deployment.name == app.DEPLOYMENT
