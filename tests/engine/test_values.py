"""Values that travel: sealed ones, which name secrets and never hold them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import EvaluationContext, parse_data
from heliostat.engine.values import SECRETS, Reference, Sealed, decoder, encoder, to_json

CONTEXT = EvaluationContext(input={"user": "ann", "none": None}, secrets=SECRETS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def evaluated(data: Any) -> Any:
    return parse_data(data).evaluate(CONTEXT)


def sealed(text: str, name: str, rest: str = "") -> Sealed:
    return Sealed((text, rest), (name,))


class TestEvaluation:
    """`$.secrets.x` is a name until a runner uses it."""

    def test_a_bare_path_is_sealed(self) -> None:
        assert evaluated("$.secrets.token") == sealed("", "token")
        assert evaluated(["${ $.secrets.token }"]) == [sealed("", "token")]

    def test_a_template_with_a_secret_is_sealed_and_the_rest_of_it_evaluated(self) -> None:
        found = evaluated("${ $.input.user }:${ $.secrets.a }/${ $.secrets.b }$${")
        assert found == Sealed(("ann:", "/", "${"), ("a", "b"))
        assert found.opened({"a": "1", "b": "2"}.__getitem__) == "ann:1/2${"

    def test_a_template_without_one_is_text(self) -> None:
        assert evaluated("Bearer ${ $.input.user }") == "Bearer ann"

    def test_one_that_is_chosen_stays_sealed(self) -> None:
        assert evaluated("${ $.input.none default $.secrets.t }") == sealed("", "t")
        text = 'key ${ $.secrets.t if $.input.user == "ann" else "none" }'
        assert evaluated(text) == sealed("key ", "t")
        assert evaluated(text.replace("ann", "bob")) == "key none"

    @pytest.mark.parametrize(
        "expression",
        [
            'concat("a", $.secrets.t)',
            "len($.secrets.t)",
            'upper("a" if false else $.secrets.t)',
            '$.secrets.t == "guess"',
            '$.secrets.t < "m"',
            'contains($.secrets.t, "a")',
            "string([$.secrets.t])",
            'format("{}", $.secrets.t)',
        ],
    )
    def test_nothing_can_be_learned_of_one(self, expression: str) -> None:
        with pytest.raises(ExpressionError):
            evaluated(f"${{ {expression} }}")


class TestTravelling:
    def test_it_comes_back_as_it_was_where_sealed_values_are_expected(self) -> None:
        value = {"headers": {"a": sealed("Bearer ", "t")}, "b": [Reference("n/h", "json", 1)]}
        assert decoder(sealed=True).decode(encoder().encode(value)) == value

    def test_it_is_refused_everywhere_else(self) -> None:
        """A client or a runner that sends one could have a secret sent to wherever it likes."""
        with pytest.raises(msgspec.DecodeError, match="sealed value"):
            decoder().decode(encoder().encode({"a": sealed("", "t")}))

    @given(json_values)
    def test_no_data_is_taken_for_one(self, value: Any) -> None:
        again = decoder(sealed=True).decode(encoder().encode([value, to_json(sealed("", "t"))]))
        assert again == [value, {"$secret": "${ $.secrets.t }"}]

    def test_it_is_shown_as_written(self) -> None:
        shown = to_json({"h": sealed("Bearer ", "t", "!")})
        assert shown == {"h": {"$secret": "Bearer ${ $.secrets.t }!"}}
        assert msgspec.json.encode(shown)

    @given(st.lists(st.text() | st.text(min_size=1).map(lambda name: sealed("", name))))
    def test_joining_keeps_everything_in_order(self, parts: list[str | Sealed]) -> None:
        joined = Sealed.joined(parts)
        expected = "".join(p if isinstance(p, str) else f"<{p.names[0]}>" for p in parts)
        opened = joined if isinstance(joined, str) else joined.opened(lambda name: f"<{name}>")
        assert opened == expected
