"""The list of commands, and what becomes of an error: one message and an exit code.

    0  done; of an execution: Completed      3  the execution is Canceled
    1  the execution is Failed               4  no deployment, or none that answers
    2  wrong usage, request or definition    70 a fault in heliostat itself, with its traceback

130 is what Ctrl-C gives: `run` has then told how to go on.
"""

from __future__ import annotations

import sys
import traceback
from itertools import pairwise
from typing import Final

import click

from heliostat import __version__
from heliostat.api.cli.cases import cases
from heliostat.api.cli.completion import completion
from heliostat.api.cli.demo import demo
from heliostat.api.cli.deployment import down, node, scale, status, up
from heliostat.api.cli.event import event
from heliostat.api.cli.import_ import import_
from heliostat.api.cli.output import Output
from heliostat.api.cli.queue import queue
from heliostat.api.cli.register import register
from heliostat.api.cli.run import run
from heliostat.api.cli.schema import schema
from heliostat.api.cli.simulate import simulate
from heliostat.api.cli.system import system
from heliostat.api.cli.task import task
from heliostat.api.cli.verify import verify
from heliostat.api.cli.watch import workflow
from heliostat.engine import errors
from heliostat.engine.errors import HeliostatError

EXIT_CODES: Final[tuple[tuple[type[HeliostatError], int], ...]] = (
    (errors.ExecutionFailed, 1),
    (errors.ExecutionCanceled, 3),
    (errors.DefinitionError, 2),
    (errors.InputError, 2),
    (errors.NotFound, 2),
    (errors.Conflict, 2),
    (errors.ExpressionError, 2),
    (errors.Overloaded, 4),
    (errors.Unreachable, 4),
    (errors.JournalError, 4),
    (errors.HistoryMisfit, 70),
)
"""The first type that fits decides."""

OVER_HTTP: Final = ("workflow", "task", "event", "register", "system")
"""Commands that a server may be named for."""

EXIT_USAGE: Final = 2
EXIT_FAULT: Final = 70
EXIT_INTERRUPTED: Final = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="heliostat")
@click.option(
    "--server",
    "-s",
    metavar="URL",
    help="Work over HTTP with the deployment at this address.  [env: HELIOSTAT_SERVER]",
)
@click.pass_context
def app(context: click.Context, server: str | None) -> None:
    """Durable workflows on Ray.

    Results are written to stdout, everything else to stderr. Exit codes: 0 Completed, 1 Failed,
    2 wrong usage or definition, 3 Canceled, 4 no deployment answers.
    """
    command = context.invoked_subcommand
    if server is not None and command not in OVER_HTTP:
        near = "; `system health-check` tells how a server is" if command == "status" else ""
        raise click.UsageError(
            f"`{command}` does not work over HTTP: leave --server out, or use one of "
            f"{', '.join(OVER_HTTP)}{near}"
        )


for command in (
    up,
    down,
    scale,
    node,
    status,
    queue,
    register,
    run,
    workflow,
    task,
    event,
    simulate,
    cases,
    verify,
    import_,
    schema,
    demo,
    system,
    completion,
):
    app.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command named by the arguments and leave the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(arguments, Output("json" if _wants_json(arguments) else "text")))


def _run(arguments: list[str], output: Output) -> int:
    try:
        code = app.main(args=arguments, prog_name="heliostat", standalone_mode=False)
    except click.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        return _usage_error(error, output)
    except HeliostatError as error:
        title = type(error).__name__
        output.error(
            code=error.code, title=title, message=error.message, details=dict(error.details)
        )
        return exit_code(error)
    except UnicodeEncodeError as error:
        if error.object not in arguments:
            return _fault(error, output)
        return _usage_error(
            click.UsageError(f"the argument {error.object!a} is not UTF-8, and names nothing"),
            output,
        )
    except Exception as error:  # noqa: BLE001 - the process's outer edge: it records, and ends
        return _fault(error, output)
    return code if isinstance(code, int) else 0


def _fault(error: Exception, output: Output) -> int:
    message = f"heliostat has a fault: {type(error).__name__}: {error}"
    details = {"traceback": "".join(traceback.format_exception(error))}
    output.error(code="INTERNAL", title="HeliostatError", message=message, details=details)
    output.note(details["traceback"])
    return EXIT_FAULT


def exit_code(error: HeliostatError) -> int:
    """What the process ends with after this error."""
    return next((code for type_, code in EXIT_CODES if isinstance(error, type_)), EXIT_FAULT)


def _usage_error(error: click.ClickException, output: Output) -> int:
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and output.format == "text":
        output.note(message)  # the help, which needs no "error: " before it
        return EXIT_USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and output.format == "text":
        message += f"\n{context.get_usage()}\nTry '{context.command_path} --help' for help."
    output.error(code="USAGE", title="UsageError", message=message, details={})
    return EXIT_USAGE


def _wants_json(arguments: list[str]) -> bool:
    """Looked for here too, since arguments that cannot be parsed are an error to be formatted."""
    return "--format=json" in arguments or any(
        pair == ("--format", "json") for pair in pairwise(arguments)
    )
