"""Reads a model by what is in it: `<pnml>` or BPMN's `<definitions>`."""

from __future__ import annotations

from heliostat.verify.reading.bpmn import read_processes
from heliostat.verify.reading.models import Model
from heliostat.verify.reading.pnml import read_pnml
from heliostat.verify.reading.processes import net_of
from heliostat.verify.reading.xml import Unreadable, parse

__all__ = ["Model", "Unreadable", "read"]


def read(content: bytes) -> list[Model]:
    """The models of a file: of PNML one for each net, of BPMN one for each process.

    Raises:
        Unreadable: it is neither, or says what is not read; names the element and its line.
    """
    root = parse(content)
    match root.tag:
        case "pnml":
            return read_pnml(root)
        case "definitions":
            return [net_of(process) for process in read_processes(root)]
    raise root.wrong("neither PNML's <pnml> nor BPMN's <definitions>")
