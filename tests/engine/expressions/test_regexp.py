"""Patterns: RFC 9485's grammar, and the same answers as a backtracking engine on small ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.engine.expressions.limits import PATTERN_STATES_MAX
from heliostat.engine.expressions.regexp import pattern
from heliostat.engine.expressions.values import new_budget

atoms = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-b]", "\\.", "[\\-b]", "[-a]"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    grouped = inner.map(lambda text: f"({text})")
    counted = st.tuples(
        st.one_of(atoms, grouped), st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}"])
    ).map("".join)
    return st.one_of(
        counted,
        st.lists(st.one_of(atoms, counted, grouped), max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
    )


@settings(max_examples=400)
@given(st.recursive(atoms, _larger, max_leaves=6), st.text("ab.-\n", max_size=6))
def test_as_a_backtracking_engine(text: str, subject: str) -> None:
    # In I-Regexp `.` excludes the carriage return too, which no subject here has.
    compiled, model = pattern(text), re.compile(text)
    assert compiled.matches(subject, new_budget()) == bool(model.fullmatch(subject))
    assert compiled.occurs(subject, new_budget()) == bool(model.search(subject))


@pytest.mark.parametrize(
    ("text", "subject", "whole"),
    [
        ("\\p{Lu}\\p{Ll}*", "Éa", True),
        ("\\p{Lu}", "a", False),
        ("\\P{L}+", "12-", True),
        ("[\\p{N}x]+", "1x٣", True),
        ("[^\\n]", "\n", False),
        (".", "\r", False),
        ("^a$", "^a$", True),
        ("", "", True),
        ("a||b", "", True),
        ("()*", "", True),
        ("(a*)*", "aaa", True),
        ("a{0}", "", True),
        ("\\(\\)\\{\\}\\|\\^", "(){}|^", True),
    ],
)
def test_whole(text: str, subject: str, whole: bool) -> None:
    assert pattern(text).matches(subject, new_budget()) is whole


@pytest.mark.parametrize(
    "text",
    [
        "(", ")", "a)", "[", "[]", "[b-a]", "*", "a**", "a{", "a{2,1}", "a{x}", "a{99999}",
        "\\d", "\\", "\\p{Xx}", "\\p{L", "(?:a)", "a+?",
        "[a", "]", "}", "[[a]]", "\\$", "(?=a)", "a{1}{2}",
    ],
)  # fmt: skip
def test_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        pattern(text)


def test_a_pattern_is_bounded() -> None:
    with pytest.raises(ValueError, match="states"):
        pattern(f"((a{{99}}){{99}}){{{PATTERN_STATES_MAX}}}")
    with pytest.raises(ValueError, match="deeper"):
        pattern("(" * 1_000 + ")" * 1_000)
