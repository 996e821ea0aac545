"""What registration finds of the deployment's semaphores: whether there is what the steps take.

An attempt that takes more than there is would fail, and so would every other one. It is told here,
with its place, before anything runs. Capacities are those that the deployment came up with; when it
comes up with other ones, what is registered stays, and the scheduler has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from heliostat.actors.client.pinning import findings_of, raise_if_any
from heliostat.engine.authoring.model import Definition, RetriedFields
from heliostat.engine.authoring.scopes import scopes_of


def check_permits(definition: Definition, capacities: Mapping[str, int]) -> None:
    """Compare what the steps take of the deployment's semaphores with the capacities configured.

    Raises:
        DefinitionError: with a diagnostic for each step that takes what there is not.
    """
    findings = findings_of(definition)
    for scope in scopes_of(definition):
        for index, step in enumerate(scope.steps):
            if not isinstance(step, RetriedFields):
                continue
            for name, amount in step.uses.items():
                if isinstance(definition.semaphores.get(name), int):
                    continue  # of the execution: checked with the definition
                place = (*scope.step_path(index), "uses", name)
                capacity = capacities.get(name)
                if capacity is None:
                    message = f"the deployment's configuration has no semaphore `{name}`"
                    findings.add("HS322", place, message, _cure(name, amount, capacities), at="key")
                elif amount > capacity:
                    message = (
                        f"it takes {amount} of semaphore `{name}`, of which the deployment has "
                        f"{capacity}"
                    )
                    cure = f"take less, or configure `semaphores = {{ {name} = {amount} }}`"
                    findings.add("HS322", place, message, cure)
    raise_if_any(findings, definition)


def _cure(name: str, amount: int, capacities: Mapping[str, int]) -> str:
    near = get_close_matches(name, capacities, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return (
        f"add it to the configuration, as `semaphores = {{ {name} = {max(amount, 1)} }}`, and "
        f"bring the deployment up again"
    )
