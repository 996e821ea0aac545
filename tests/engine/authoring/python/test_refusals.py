"""What cannot be compiled is told with its place, what it is, and what to write instead."""

from __future__ import annotations

import pytest

from heliostat.engine.errors import DefinitionError

from .conftest import Load

REFUSED = {
    "with": ("with open('f') as f:\n        pass", "HS402", "`with`"),
    "global": ("global LIMIT", "HS405", "`global`"),
    "nested function": ("def inner(): ...", "HS406", "a function within"),
    "class": ("class Inner: ...", "HS406", "a class within"),
    "lambda": ("f = lambda x: x", "HS406", "a lambda"),
    "yield": ("yield fetch(x)", "HS407", "no generator"),
    "generator": ("g = (fetch(y) for y in x)", "HS407", "generator"),
    "print": ("print(x)", "HS408", "`print` reaches outside"),
    "open": ("y = open(x)", "HS408", "`open` reaches outside"),
    "sleep": ("time.sleep(1)", "HS408", "`time.sleep`"),
    "random": ("y = random.random()", "HS408", "`random.random`"),
    "now": ("y = datetime.now()", "HS408", "`datetime.now`"),
    "no step": ("y = helper(x)", "HS410", "neither a step nor a block"),
    "mutable global": ("y = CACHE", "HS405", "may change"),
    "set item": ("d = {}\n    d['k'] = 1", "HS402", "only names"),
    "set attribute": ("x.y = 1", "HS402", "only names"),
    "del": ("y = 1\n    del y", "HS402", "`del`"),
    "walrus": ("if (y := fetch(x)):\n        pass", "HS403", "`:=`"),
    "star arguments": ("y = fetch(*[x])", "HS411", "`*`"),
    "match": ("match x:\n        case 1: pass", "HS402", "`match`"),
    "import": ("import os", "HS402", "`import`"),
    "assert": ("assert x", "HS402", "`assert`"),
    "bare except": ("try:\n        fetch(x)\n    except:\n        pass", "HS415", "bare"),
    "base exception": (
        "try:\n        fetch(x)\n    except BaseException:\n        pass",
        "HS415",
        "cancelling is never caught",
    ),
    "unbound": ("if x:\n        y = 1\n    fetch(y)", "HS413", "no value here on every way"),
    "alias": ("a = []\n    b = a\n    a.append(1)", "HS414", "another name"),
    "wrong type": ("fetch(1)", "HS412", "is str, this is int"),
    "wrong member": ("y = order.totl", "HS412", "no member `totl`"),
    "missing argument": ("fetch()", "HS411", "missing a required argument"),
    "two types": ("y = total(order) + 'x'", "HS412", "`+` of float and str"),
    "unknown name": ("y = fetchh", "HS404", "nothing is called `fetchh`"),
    "set": ("y = {1, 2}", "HS403", "sets are no JSON"),
    "no element call": ("hs.map(fetch(fetch(y)) for y in ['a'])", "HS416", "call nothing"),
    "completion": (
        "hs.map((fetch(y) for y in ['a']), completion='some')",
        "HS416",
        "no such completion",
    ),
    "at least none": ("hs.map((fetch(y) for y in ['a']), at_least=0)", "HS416", "from 1"),
    "bare number": ("hs.sleep(5)", "HS412", "no unit"),
    "misplaced": ("y = hs.after('5s')", "HS416", "stands in hs.wait only"),
    "no such function": ("hs.sleeep('5s')", "HS404", "did you mean `sleep`?"),
    "id": ("fetch.using(id='a b')(x)", "HS416", "no name"),
    "times": (
        "y = hs.now() - hs.now()",
        "HS403",
        "a datetime is a text here, and cannot be computed with",
    ),
    "no url": ("hs.http('GET')", "HS411", "needs `url`"),
    "await": ("y = [await x]", "HS401", "async function"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_place_and_cure(name: str, load: Load) -> None:
    body, code, words = REFUSED[name]
    word = "async def" if name == "await" else "def"
    space = load(f"@hs.workflow\n{word} main(x: str, order: Order):\n    {body}\n")
    with pytest.raises(DefinitionError) as caught:
        _ = space["main"].definition
    fault = caught.value.diagnostics[0]
    assert fault.code == code, str(fault)
    assert words in str(fault)
    assert fault.line > 0
    assert fault.column > 0
    assert fault.source_line is not None
    assert "^" in str(fault)


def test_all_faults_are_told_at_once(load: Load) -> None:
    space = load("""
        @hs.block
        def inner(x):
            return open(x)

        @hs.workflow
        def main(x: str):
            print(x)
            y = CACHE
            with x: pass
            return inner(y)
    """)
    with pytest.raises(DefinitionError) as caught:
        _ = space["main"].definition
    codes = [fault.code for fault in caught.value.diagnostics]
    assert sorted(codes) == ["HS402", "HS405", "HS408", "HS408"]


def test_a_diagnostic_points_into_the_line(load: Load) -> None:
    space = load("""
        @hs.workflow
        def main(order: Order):
            return fetch(order.totl)
    """)
    with pytest.raises(DefinitionError) as caught:
        _ = space["main"].definition
    shown = str(caught.value.diagnostics[0]).splitlines()
    assert shown[1] == "   |   return fetch(order.totl)"
    assert shown[2].startswith("   |                ^^^^^^^^^^ did you mean `total`?")


def test_a_block_that_calls_itself_is_refused(load: Load) -> None:
    space = load("""
        @hs.block
        def again(x):
            return again(x)

        @hs.workflow
        def main(x: str):
            return again(x)
    """)
    with pytest.raises(DefinitionError, match="HS417"):
        _ = space["main"].definition


def test_undo_is_simulated_and_not_registered(load: Load) -> None:
    space = load("""
        @hs.workflow
        def main(x: str):
            y = fetch(x)
            hs.undo(fetch, y)
            return y
    """)
    assert space["main"].simulate("a", outcomes={"fetch": "b"}).output == "b"
    with pytest.raises(DefinitionError, match="compensation is not built yet"):
        _ = space["main"].definition
