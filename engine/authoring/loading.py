"""From a file to a definition, with every fault of the file named at once."""

from __future__ import annotations

from pathlib import Path as FilePath

from ..errors import DefinitionError
from . import yaml12
from .aliases import rewritten
from .canonical import content
from .checks import check_definition
from .diagnostics import Diagnostic, Findings
from .model import Definition
from .shape import shaped
from .source import Source


def load_definition(path: str | FilePath) -> Definition:
    """Read, check and return the definition in a YAML or JSON file.

    Raises:
        DefinitionError: with a diagnostic for each fault; the file's name in them is its last part.
    """
    file = FilePath(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DefinitionError(
            file.name,
            [
                Diagnostic(
                    file=str(file),
                    code="HS001",
                    message=f"cannot be read: {error.strerror or error}",
                )
            ],
        ) from None
    except UnicodeDecodeError as error:
        raise DefinitionError(
            file.name,
            [
                Diagnostic(
                    file=file.name,
                    code="HS001",
                    message=f"byte {error.start} is not UTF-8",
                    cure="save the file as UTF-8",
                )
            ],
        ) from None
    return parse_definition(text, file.name)


def parse_definition(text: str, name: str = "definition") -> Definition:
    """Read and check a definition in YAML or JSON; `name` stands for the file in diagnostics.

    Raises:
        DefinitionError: with a diagnostic for each fault.
    """
    source = Source(name, text)
    findings = Findings(name, None, source)
    try:
        tree = yaml12.read(source, findings)
    except yaml12.Unreadable:
        raise DefinitionError(name, findings.all()) from None
    findings.tree = tree
    tree = rewritten(tree, source, findings)
    definition, lost = shaped(tree, findings)
    if definition is not None:
        check_definition(definition, findings, lost=lost)
    if findings or definition is None:
        raise DefinitionError(name, findings.all())
    return definition.with_source(source)


def checked(definition: Definition) -> Definition:
    """The definition itself, if one that was made in Python is sound.

    Raises:
        DefinitionError: with a diagnostic for each fault, without places in a file.
    """
    findings = Findings(definition.id, content(definition))
    check_definition(definition, findings)
    if findings:
        raise DefinitionError(definition.id, findings.all())
    return definition
