"""What registration finds of the deployment's semaphores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.permits import check_permits
from heliostat.actors.client.registrar import Registrar
from heliostat.actors.client.registration import Prepared
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError, NotFound
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.journal.protocol import DefinitionRow

TEXT = """
id: asking
version: "1"
semaphores: {llm: {per: deployment}, own: 9}
steps:
  - {id: own, type: activity, activity: "m:f", uses: {own: 9}, next: each}
  - id: each
    foreach: $.input.items
    steps:
      - {id: ask, type: activity, activity: "m:f", uses: {llm: 3}}
"""


def asking() -> Definition:
    return parse_definition(TEXT)


def faults(**capacities: int) -> tuple[Diagnostic, ...]:
    with pytest.raises(DefinitionError) as caught:
        check_permits(asking(), capacities)
    return tuple(caught.value.diagnostics)


def test_as_much_as_there_is_may_be_taken_and_what_the_execution_has_is_not_looked_at() -> None:
    check_permits(asking(), {"llm": 3})


def test_one_without_capacity_is_a_fault_of_the_step_that_takes_it() -> None:
    (fault,) = faults(other=1)
    assert (fault.code, fault.step, fault.field) == ("HS322", "ask", "uses.llm")
    assert "no semaphore `llm`" in fault.message
    assert "`semaphores = { llm = 3 }`" in str(fault.cure)


def test_a_name_that_is_nearly_right_is_told() -> None:
    (fault,) = faults(llms=8)
    assert "did you mean `llms`?" in str(fault.cure)


def test_less_than_a_step_takes_is_a_fault() -> None:
    (fault,) = faults(llm=2)
    assert (fault.code, fault.step) == ("HS322", "ask")
    assert "takes 3 of semaphore `llm`, of which the deployment has 2" in fault.message
    assert "llm = 3" in str(fault.cure)


class TestRegistrar:
    def registrar(self, tmp_path: Path, put: list[DefinitionRow], **known: Any) -> Registrar:
        def taken(row: DefinitionRow) -> DefinitionRow:
            put.append(row)
            return row

        def find(namespace: str, id: str, version: str | None) -> DefinitionRow:
            assert (id, version) == ("asking", None), "it calls no other workflow"
            raise NotFound("definition", id)

        blobs = FileBlobStore(tmp_path)
        return Registrar(blobs=blobs, find=find, put=taken, calendars={}, **known)

    def prepared(self) -> Prepared:
        return Prepared(definition=asking(), activities={}, bundle=b"")

    def test_nothing_is_stored_of_what_is_refused(self, tmp_path: Path) -> None:
        put: list[DefinitionRow] = []
        with pytest.raises(DefinitionError, match="HS322"):
            self.registrar(tmp_path, put, semaphores={}).register([self.prepared()])
        assert not put

    def test_where_the_capacities_are_not_known_the_scheduler_has_the_only_word(
        self, tmp_path: Path
    ) -> None:
        put: list[DefinitionRow] = []
        self.registrar(tmp_path, put).register([self.prepared()])
        assert [row.id for row in put] == ["asking"]
