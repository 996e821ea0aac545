"""`queue`: which steps wait for capacity, why, and who has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.api.cli.options import configuration, format_option, place_options
from heliostat.api.cli.output import Output, table
from heliostat.engine.scheduling.nodes import in_words

if TYPE_CHECKING:
    from heliostat.actors.scheduler.view import HeldLease, NodeLoad, QueuedWant, QueueView


@click.command()
@place_options
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=100,
    show_default=True,
    help="How many that wait, and that hold, are shown.",
)
@format_option
def queue(data: Path | None, config: Path | None, limit: int, output: Output) -> None:
    """Show which steps wait for capacity, in their order, and who has it.

    Only steps with resources, or with a semaphore of the deployment, wait here; the others run on
    warm runners and ask nobody.
    """
    settings = configuration(data, config)
    from heliostat.cluster.queue import deployment_queue

    found = deployment_queue(settings, limit=limit)
    output.result(found, lambda: _text(found))


def _text(found: QueueView) -> str:
    attempts = [each for each in found.waiting if each.kind == "attempt"]
    parts = []
    if attempts:
        rows = [_waiting_row(each) for each in attempts]
        parts += [table(("place", "execution", "step", "priority", "waits", "why"), rows) or ""]
        more = found.waiting_count - len(found.waiting)
        if more > 0:
            parts += [f"and {more:,} more"]
    else:
        parts += ["no step waits for capacity"]
    steps = [each for each in found.held if each.kind == "attempt"]
    if steps:
        rows = [_held_row(each, found.nodes) for each in steps]
        parts += ["", table(("running", "step", "node", "holds"), rows) or ""]
    if found.semaphores:
        parts += [""]
        parts += [f"semaphore {each.name}: {each.taken} of {each.capacity} taken"
                  for each in found.semaphores]  # fmt: skip
    parts += [""]
    parts += [_node_line(each, found) for each in found.nodes]
    if found.steps:
        asked = 100 * found.asked / found.steps
        parts += [f"{found.steps:,} attempts were dispatched, {asked:.2g} % of them asked here"]
    return "\n".join(parts)


def _waiting_row(want: QueuedWant) -> tuple[str, ...]:
    return (
        str(want.place),
        want.execution,
        want.step,
        str(want.priority),
        f"{want.waited_ms / 1_000:,.1f} s",
        want.reason,
    )


def _held_row(lease: HeldLease, nodes: tuple[NodeLoad, ...]) -> tuple[str, ...]:
    node = next((each.name for each in nodes if each.id == lease.node), lease.node or "any")
    return lease.execution, lease.step, node, _amounts(lease.needs, lease.semaphores)


def _amounts(needs: Mapping[str, float], semaphores: Mapping[str, int]) -> str:
    permits = ", ".join(f"{amount} of {name}" for name, amount in sorted(semaphores.items()))
    return ", ".join(part for part in (in_words(needs), permits) if part)


def _node_line(node: NodeLoad, found: QueueView) -> str:
    cpus = node.total.get("CPU", 0.0)
    text = f"node {node.name}: {in_words({'CPU': round(node.held.get('CPU', 0.0), 2)})} held of "
    text += in_words({"CPU": cpus})
    others = {name: round(amount, 2) for name, amount in node.others.items() if name == "CPU"}
    if others:
        text += f", {in_words(others)} used by others"
    runners = sum(1 for each in found.held if each.kind == "runner" and each.node == node.id)
    if runners:
        text += f", {runners} runner{'s' if runners > 1 else ''}"
    if node.draining:
        text += ", is being drained"
    if node.kept_for:
        text += f", kept for {node.kept_for}"
    return text
