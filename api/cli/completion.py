"""`completion SHELL`: what a shell evaluates so that it completes commands, options and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOW: Final[Mapping[str, str]] = {
    "bash": 'eval "$(heliostat completion bash)"    # in ~/.bashrc',
    "zsh": 'eval "$(heliostat completion zsh)"     # in ~/.zshrc, after compinit',
    "fish": "heliostat completion fish | source      # in ~/.config/fish/config.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(tuple(_HOW)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options and ids.

    bash: eval "$(heliostat completion bash)" in ~/.bashrc; zsh: the same with zsh in ~/.zshrc;
    fish: heliostat completion fish | source.
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    root = context.find_root().command
    click.echo(f"# {_HOW[shell]}")
    click.echo(kind(root, {}, "heliostat", "_HELIOSTAT_COMPLETE").source())
