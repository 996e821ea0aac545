"""Files that cannot be read, and definitions that were made in Python."""

from pathlib import Path

import pytest

from heliostat.engine.authoring.loading import checked, load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.yaml12 import TEXT_CHARS_MAX
from heliostat.engine.errors import DefinitionError


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"error\[HS001\] cannot be read: No such file"):
        load_definition(tmp_path / "none.yaml")


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes('id: "f\xfcr"'.encode("latin-1"))
    with pytest.raises(DefinitionError, match=r"error\[HS001\] byte 6 is not UTF-8"):
        load_definition(tmp_path / "latin.yaml")


def test_a_byte_order_mark_and_carriage_returns_are_read(tmp_path: Path) -> None:
    lines = ["\ufeffid: d", 'version: "1"', "steps:", "- id: a", "  type: decision"]
    text = "\r\n".join([*lines, "  output: $.inptu", ""])
    (tmp_path / "d.yaml").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(DefinitionError) as caught:
        load_definition(tmp_path / "d.yaml")
    (fault,) = caught.value.diagnostics
    assert (fault.line, fault.column, fault.source_line) == (6, 12, "  output: $.inptu")


def test_a_file_that_is_too_long() -> None:
    with pytest.raises(DefinitionError, match="HS004"):
        parse_definition("#" * (TEXT_CHARS_MAX + 1))


def test_definitions_made_in_python_are_checked_without_places() -> None:
    tree = {"id": "d", "version": "1", "steps": [{"id": "a", "type": "decision", "next": "b"}]}
    with pytest.raises(DefinitionError) as caught:
        checked(Definition.model_validate(tree))
    assert str(caught.value) == (
        "d has 1 fault:\n"
        'd error[HS201] step "a", field "next[0].to": there is no step "b"\n'
        "   = the steps are: a, end"
    )
    sound = Definition.model_validate({**tree, "steps": [{"id": "a", "type": "decision"}]})
    assert checked(sound) is sound


def test_a_definition_is_equal_wherever_it_was_read() -> None:
    text = 'id: d\nversion: "1"\nsteps: [{id: a, type: decision}]'
    assert parse_definition(text, "one") == parse_definition(text, "two")
    assert parse_definition(text) != parse_definition(text.replace("id: d", "id: e"))
