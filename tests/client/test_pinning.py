"""What registration fixes of the deployment around a definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.pinning import in_order, named_calendars, pinned_children
from heliostat.actors.client.registrar import Registrar
from heliostat.actors.client.registration import Prepared
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.source import Source
from heliostat.engine.authoring.versions import RegisteredVersion, decode, encode
from heliostat.engine.calendars import Calendar, read_calendar
from heliostat.engine.errors import DefinitionError, Duplicate, NotFound
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.journal.protocol import DefinitionRow


def calling(id: str, *workflows: str, version: str = "1", **fields: Any) -> Definition:
    """A definition with a step per call, each `workflow` or `workflow@version`."""
    steps = []
    for index, called in enumerate(workflows):
        workflow, _, pinned = called.partition("@")
        step = {"id": f"call_{index}", "type": "sub_workflow", "workflow": workflow}
        steps.append(step | ({"version": pinned} if pinned else {}) | {"needs": []})
    steps = steps or [{"id": "done", "type": "decision"}]
    return Definition.model_validate({"id": id, "version": version, "steps": steps, **fields})


def prepared(definition: Definition, *, dev: bool = False) -> Prepared:
    return Prepared(definition=definition, activities={}, bundle=b"", by_content=dev)


class Rows:
    """The definitions of a deployment."""

    def __init__(self) -> None:
        self.rows: list[DefinitionRow] = []

    def find(self, namespace: str, id: str, version: str | None) -> DefinitionRow:
        for row in reversed(self.rows):
            if (row.namespace, row.id) == (namespace, id) and version in (None, row.version):
                return row
        raise NotFound("definition", id)

    def put(self, row: DefinitionRow) -> DefinitionRow:
        for known in self.rows:
            if (known.namespace, known.id, known.version) == (row.namespace, row.id, row.version):
                if known.content_hash != row.content_hash:
                    raise Duplicate(f"{row.id} {row.version}")
                return known
        self.rows.append(row)
        return row

    def children(self, row: DefinitionRow) -> dict[str, str]:
        return dict(self.version(row).fixed.children)

    def version(self, row: DefinitionRow) -> RegisteredVersion:
        return RegisteredVersion(
            namespace=row.namespace,
            id=row.id,
            version=row.version,
            content_hash=row.content_hash,
            body=row.body,
            compiled=row.compiled,
        )


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def registrar(rows: Rows, tmp_path: Path) -> Registrar:
    calendars = {"nyse": read_calendar("nyse", {"timezone": "America/New_York"})}
    return Registrar(
        blobs=FileBlobStore(tmp_path), find=rows.find, put=rows.put, calendars=calendars
    )


def registered(registrar: Registrar, *definitions: Definition, dev: bool = False) -> Sequence[Any]:
    entered = registrar.register([prepared(each, dev=dev) for each in definitions])
    return [each.row for each in entered]


class TestChildren:
    def test_one_without_a_version_is_pinned_to_the_latest(
        self, registrar: Registrar, rows: Rows
    ) -> None:
        registered(registrar, calling("pay", version="1"))
        registered(registrar, calling("pay", version="2"))
        (order,) = registered(registrar, calling("order", "pay", "pay@1", "pay@latest"))
        assert rows.children(order) == {"call_0": "2"}

    def test_a_later_version_of_the_child_makes_another_content(self, registrar: Registrar) -> None:
        registered(registrar, calling("pay", version="1"))
        registered(registrar, calling("order", "pay"))
        registered(registrar, calling("order", "pay"))
        registered(registrar, calling("pay", version="2"))
        with pytest.raises(Duplicate):
            registered(registrar, calling("order", "pay"))

    def test_a_definition_that_calls_itself_is_pinned_to_itself(
        self, registrar: Registrar, rows: Rows
    ) -> None:
        registered(registrar, calling("tree", "tree", version="1"))
        (tree,) = registered(registrar, calling("tree", "tree", version="2"))
        assert rows.children(tree) == {"call_0": "2"}

    def test_a_development_version_calls_itself_by_the_name_it_gets(
        self, registrar: Registrar, rows: Rows
    ) -> None:
        (tree,) = registered(registrar, calling("tree", "tree"), dev=True)
        (again,) = registered(registrar, calling("tree", "tree"), dev=True)
        assert tree.version.startswith("1+")
        assert rows.children(tree) == {"call_0": tree.version}
        assert again == tree

    def test_a_workflow_that_is_not_there_is_told_with_its_place(self) -> None:
        text = (
            'id: order\nversion: "1"\nsteps:\n'
            "  - {id: pay, type: sub_workflow, workflow: payment, needs: []}\n"
            '  - {id: ship, type: sub_workflow, workflow: ship, version: "9", needs: []}\n'
        )
        definition = calling("order", "payment", "ship@9").with_source(Source("order.yaml", text))
        with pytest.raises(DefinitionError) as caught:
            pinned_children(definition, lambda workflow, version: None)
        first, second = caught.value.diagnostics
        assert (first.code, second.code) == ("HS320", "HS320")
        assert "no workflow `payment` is registered in namespace `default`" in first.message
        assert "heliostat register FILE FILE" in first.cure
        assert "`ship` has no version `9`" in second.message

    def test_versions_are_found_again_where_they_are_stored(self, registrar: Registrar) -> None:
        version = prepared(calling("order", "pay")).stored(
            FileBlobStore(Path()), children={"call_0": "7"}
        )
        assert decode(encode(version)).fixed.children == {"call_0": "7"}


class TestTogether:
    """Definitions that call each other, given at once."""

    def test_each_comes_after_those_it_calls(self, registrar: Registrar, rows: Rows) -> None:
        order, pay, audit = registered(
            registrar, calling("order", "pay", "audit"), calling("pay", "audit"), calling("audit")
        )
        assert [row.id for row in rows.rows] == ["audit", "pay", "order"]
        assert (order.id, pay.id, audit.id) == ("order", "pay", "audit")
        assert rows.children(order) == {"call_0": "1", "call_1": "1"}

    def test_what_is_given_together_is_meant_not_a_later_version(
        self, registrar: Registrar, rows: Rows
    ) -> None:
        registered(registrar, calling("pay", version="1"))
        registered(registrar, calling("pay", version="2"))
        order, _ = registered(registrar, calling("order", "pay"), calling("pay", version="1"))
        assert rows.children(order) == {"call_0": "1"}

    def test_a_development_version_is_pinned_by_its_name(
        self, registrar: Registrar, rows: Rows
    ) -> None:
        order, pay = registered(registrar, calling("order", "pay"), calling("pay"), dev=True)
        assert rows.children(order) == {"call_0": pay.version}

    def test_a_circle_is_refused_and_says_how_to_break_it(self, registrar: Registrar) -> None:
        with pytest.raises(DefinitionError, match=r"a → b → c → a(.|\n)*version: latest"):
            registered(registrar, calling("a", "b"), calling("b", "c"), calling("c", "a"))
        registered(registrar, calling("a", "b"), calling("b", "c"), calling("c", "a@latest"))

    def test_two_versions_of_one_workflow_are_refused(self) -> None:
        with pytest.raises(DefinitionError, match="`a` is given twice"):
            in_order([prepared(calling("a")), prepared(calling("a", version="2"))])


class TestCalendars:
    CALENDARS: dict[str, Calendar] = {
        name: read_calendar(name, {"holidays": ["2026-12-25"]}) for name in ("nyse", "xetra")
    }

    def deadline(self, **deadline: Any) -> Definition:
        return calling("order", deadline={"business_days": 3, **deadline})

    def test_those_that_deadlines_name_are_stored(self) -> None:
        found = named_calendars(self.deadline(calendar="nyse"), self.CALENDARS)
        assert set(found) == {"nyse"}
        version = prepared(calling("order")).stored(FileBlobStore(Path()), calendars=found)
        assert decode(encode(version)).fixed.calendars == found

    def test_an_expression_may_name_any(self) -> None:
        definition = self.deadline(calendar="$.input.calendar")
        assert named_calendars(definition, self.CALENDARS) == self.CALENDARS

    def test_none_is_named(self) -> None:
        assert named_calendars(self.deadline(), self.CALENDARS) == {}

    def test_one_that_is_not_configured_is_a_fault(self) -> None:
        with pytest.raises(DefinitionError, match=r"HS321(.|\n)*did you mean `nyse`") as caught:
            named_calendars(self.deadline(calendar="nise"), self.CALENDARS)
        (fault,) = caught.value.diagnostics
        assert fault.field == "deadline.calendar"

    def test_other_holidays_are_other_content(self) -> None:
        def hashed(day: str) -> str:
            calendars = {"nyse": read_calendar("nyse", {"holidays": [day]})}
            stored = prepared(calling("order")).stored(FileBlobStore(Path()), calendars=calendars)
            return stored.content_hash

        assert hashed("2026-12-25") == hashed("2026-12-25") != hashed("2026-12-26")
