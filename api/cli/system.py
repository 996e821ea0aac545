"""`system …`: how a deployment is, as its door tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.options import format_option, reach_options
from heliostat.api.cli.output import Output, styled

if TYPE_CHECKING:
    from heliostat.api.cli.reach import Reach

_COLOURS: Final = {"healthy": "green", "unhealthy": "red"}
_EXIT_UNHEALTHY: Final = 4


@click.group()
def system() -> None:
    """The deployment itself."""


@system.command()
@reach_options
@format_option
@click.pass_context
def health_check(context: click.Context, reach: Reach, output: Output) -> None:
    """Tell whether a deployment serves, and which part of it does not.

    Exit codes: 0 healthy or degraded, 4 unhealthy or no answer.
    """
    with reach.client() as client:
        info = client.info(timeout=_BOUND_S)
    found: dict[str, Any] = info.get("health") or _seen(info["hosts"])

    def text() -> str:
        lines = [
            f"health   {styled(found['status'], _COLOURS.get(found['status'], 'yellow'))}",
            f"message  {found['message']}",
        ]
        for name, part in found["components"].items():
            why = f" ({part['message']})" if part.get("message") else ""
            shown = styled(part["status"], _COLOURS.get(part["status"], "yellow"))
            lines.append(f"  {name:<10} {shown}{why}")
        return "\n".join(lines)

    output.result(found, text)
    if found["status"] == "unhealthy":
        context.exit(_EXIT_UNHEALTHY)


_BOUND_S: Final = 10.0
"""In which the deployment must say how it is."""


def _seen(hosts: list[dict[str, Any]]) -> dict[str, Any]:
    """The health that hosts tell of themselves, in the words of the door."""
    serving = [host for host in hosts if host["state"] == "running" and host["trouble"] is None]
    troubles = sorted({host["trouble"] for host in hosts if host["trouble"]})
    status = "healthy" if len(serving) == len(hosts) else "degraded"
    if not serving:
        status = "unhealthy"
    message = f"{len(serving)} of {len(hosts)} serve"
    return {
        "status": status,
        "message": "all is well" if status == "healthy" else message,
        "components": {
            "hosts": {"status": status, "message": message},
            "journal": {
                "status": "healthy" if not troubles else status,
                "message": "; ".join(troubles) or None,
            },
        },
    }
