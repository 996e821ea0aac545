"""Where secrets come from, and how they are kept out of what is recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.actors.runner.builtin import SecretMissing
from heliostat.actors.runner.secrets import (
    FILE_BYTES_MAX,
    SCRUB_CHARS_MIN,
    SCRUBBED,
    Scrubber,
    Secrets,
)
from heliostat.engine.values import Sealed


def file(folder: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "secrets.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


class TestSources:
    def test_the_environment_comes_before_the_file(self, tmp_path: Path) -> None:
        path = file(tmp_path, 'one = "of the file"\ntwo = "of the file"\n')
        secrets = Secrets(path, environment={"HELIOSTAT_SECRET_ONE": "of the environment"})
        assert secrets.value("one") == "of the environment"
        assert secrets.value("two") == "of the file"

    def test_a_change_of_the_file_counts_at_once(self, tmp_path: Path) -> None:
        secrets = Secrets(file(tmp_path, 'key = "old"'), environment={})
        assert secrets.value("key") == "old"
        file(tmp_path, 'key = "new"')
        assert secrets.value("key") == "new"

    def test_a_missing_one_names_variable_and_cure(self, tmp_path: Path) -> None:
        with pytest.raises(SecretMissing) as caught:
            Secrets(environment={}).value("api_key")
        for word in ("'api_key'", "HELIOSTAT_SECRET_API_KEY", "`secrets_file`"):
            assert word in str(caught.value)
        path = file(tmp_path, "")
        with pytest.raises(SecretMissing, match=r"add it to '.*secrets\.toml'"):
            Secrets(path, environment={}).value("api_key")

    def test_an_empty_one_is_missing(self) -> None:
        with pytest.raises(SecretMissing, match="the secret 'key' is empty"):
            Secrets(environment={"HELIOSTAT_SECRET_KEY": ""}).value("key")

    def test_one_that_is_no_text_is_told(self) -> None:
        environment = {"HELIOSTAT_SECRET_KEY": os.fsdecode(b"s3cr3t\xff")}
        with pytest.raises(SecretMissing, match="the secret 'key' is not UTF-8") as caught:
            Secrets(environment=environment).value("key")
        assert "s3cr3t" not in str(caught.value)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
    def test_a_file_that_others_may_use_is_refused(self, tmp_path: Path, mode: int) -> None:
        path = file(tmp_path, 'key = "value"', mode)
        with pytest.raises(SecretMissing, match=f"mode {mode:o}.*chmod 600") as caught:
            Secrets(path, environment={}).value("key")
        assert "value" not in str(caught.value)

    def test_a_file_of_somebody_else_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = file(tmp_path, 'key = "value"')
        if os.geteuid() == 0:
            os.chown(path, 12_345, -1)
        else:  # only root can give a file away; who else opens it is somebody else as well
            monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        with pytest.raises(SecretMissing, match="another user"):
            Secrets(path, environment={}).value("key")

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("key = s3cr3t", "is not TOML"),
            (b'key = "\xff"', "is not TOML"),
            ("key = 12345", "put it in quotes"),
            ('[key]\na = "s3cr3t"', "put it in quotes"),
            ("#" * (FILE_BYTES_MAX + 1), "longer than 1 MiB"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_told_without_its_content(
        self, tmp_path: Path, content: str, told: str
    ) -> None:
        with pytest.raises(SecretMissing, match=told) as caught:
            Secrets(file(tmp_path, content), environment={}).value("key")
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_file_that_is_not_there_or_none_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SecretMissing, match="No such file"):
            Secrets(tmp_path / "none", environment={}).value("key")
        with pytest.raises(SecretMissing, match="Is a directory"):
            Secrets(tmp_path, environment={}).value("key")

    def test_opening_puts_each_in_its_place(self) -> None:
        secrets = Secrets(environment={"HELIOSTAT_SECRET_A": "first", "HELIOSTAT_SECRET_B": "2"})
        value = {"x": [Sealed(("<", ">"), ("a",)), 1], "y": Sealed(("", "-", ""), ("b", "a"))}
        opened, scrubber = secrets.open(value)
        assert opened == {"x": ["<first>", 1], "y": "2-first"}
        assert scrubber is not None
        assert scrubber.text("first 2") == f"{SCRUBBED} 2"
        assert secrets.open({"x": 1}) == ({"x": 1}, None)


characters = st.characters(exclude_characters="<>", exclude_categories=["Cs"])


class TestScrubbing:
    @given(st.text(characters, min_size=SCRUB_CHARS_MIN))
    def test_a_value_is_found_in_every_usual_spelling(self, secret: str) -> None:
        scrubber = Scrubber([secret])
        for spelling in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            repr(secret)[1:-1],
            quote(secret),
            quote(secret, safe=""),
            quote_plus(secret),
        ):
            assert scrubber.text(f"<{spelling}>") == f"<{SCRUBBED}>"

    def test_the_longer_of_two_goes_first(self) -> None:
        assert Scrubber(["abcd", "abcdef"]).text("abcdef abcd") == f"{SCRUBBED} {SCRUBBED}"

    def test_lines_of_a_value_are_found_alone(self) -> None:
        assert Scrubber(["first line\nsecond line\n"]).text("> second line") == f"> {SCRUBBED}"

    def test_short_values_are_left(self) -> None:
        assert Scrubber(["abc"]).text("abc") == "abc"

    def test_trees_are_scrubbed_to_the_leaves(self) -> None:
        tree = {"a": ["key=s3cr3t", 1, None, True], "s3cr3t": b"\xff s3cr3t"}
        assert Scrubber(["s3cr3t"]).tree(tree) == {
            "a": [f"key={SCRUBBED}", 1, None, True],
            SCRUBBED: b"\xff " + SCRUBBED.encode(),
        }
