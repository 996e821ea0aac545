"""Functions are looked at in the calling process, and nothing of that stays behind."""

import sys
from pathlib import Path
from typing import Any

import pytest

from heliostat.engine.authoring.activities import (
    check_activities,
    entry_modules,
    inspect_activity,
)
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError
from heliostat.engine.plan.numbering import custom_key

MODULE = """
from heliostat.engine.authoring.steps import Retry, step

class BadLine(Exception): ...

def plain(a, b=1, *, c, d=2): ...
def anything(a, **rest): ...
def by_position(a, /): ...
async def later(a): ...

@step(retry=Retry(max_attempts=5, initial="2s", never_on=[BadLine]), timeout="30s", num_cpus=2,
      resources={"tpu": 1, "disk": 3}, effects="at_most_once")
def marked(order): ...

class Class:
    def method(self): ...

NUMBER = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import shop\n\nraise RuntimeError('no licence')\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "wants.py").write_text("import not_there_at_all\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "inner.py").write_text("from .other import work\n")
    (tmp_path / "pack" / "other.py").write_text("def work(): ...\n")
    return tmp_path


def definition(*steps: str) -> str:
    return 'id: d\nversion: "1"\nsteps:\n' + "".join(f"  - {{{step}}}\n" for step in steps)


def activity(target: str, more: str = "") -> str:
    return definition(f'id: a, type: activity, activity: "{target}"{more}')


class TestInspection:
    def test_parameters(self, code: Path) -> None:
        info = inspect_activity("shop:plain", [code])
        assert (info.required, info.optional) == (("a", "c"), ("b", "d"))
        assert not info.accepts_any
        assert inspect_activity("shop:anything", [code]).accepts_any
        assert inspect_activity("shop:later", [code]).required == ("a",)
        assert inspect_activity("shop:marked", [code]).required == ("order",)
        assert inspect_activity("pack.inner:work", [code]).faults == ()

    def test_nothing_stays_behind(self, code: Path) -> None:
        path, modules = list(sys.path), set(sys.modules)
        for target in ("shop:plain", "broken:x", "leaves:x", "pack.inner:work"):
            inspect_activity(target, [code])
        assert sys.path == path
        assert set(sys.modules) == modules
        assert not list(code.rglob("__pycache__"))
        assert str(code) not in sys.path_importer_cache

    def test_a_module_of_the_same_name_from_elsewhere_is_set_aside(
        self, code: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        other = tmp_path_factory.mktemp("other")
        (other / "shop.py").write_text("def plain(z): ...\n")
        assert inspect_activity("shop:plain", [code]).required == ("a", "c")
        assert inspect_activity("shop:plain", [other]).required == ("z",)
        assert inspect_activity("shop:plain", [code]).required == ("a", "c")

    def test_an_imported_module_of_the_same_name_comes_back(self, code: Path) -> None:
        (code / "colorsys.py").write_text("")  # of the standard library: never hidden
        (code / "pytest.py").write_text("def fake(): ...\n")
        assert inspect_activity("pytest:fake", [code]).faults == ()
        assert sys.modules["pytest"] is pytest

    def test_functions_given_by_value_have_names(self) -> None:
        info = inspect_activity("charge", registered={"charge": lambda order: order})
        assert info.required == ("order",)


@pytest.mark.parametrize(
    ("target", "more", "expected"),
    [
        ("shp:plain", "", 'error[HS301] step "a", field "activity": there is no module `shp`'),
        ("wants:x", "", "importing `wants` failed: ModuleNotFoundError: No module named"),
        ("broken:x", "", "importing `broken` failed: RuntimeError: no licence, at broken.py:3"),
        ("leaves:x", "", "importing `leaves` failed: SystemExit: 3"),
        ("shop:plian", "", "error[HS302]"),
        ("shop:plian", "", "did you mean `plain`?"),
        ("shop:NUMBER", "", "error[HS303]"),
        ("shop:NUMBER", "", "is an int, not a function"),
        ("shop:by_position", "", "error[HS306]"),
        ("shop:plain", ", input: {a: 1}", "`shop:plain` needs `c`"),
        ("shop:plain", "", "error[HS304]"),
        ("shop:plain", ", input: {a: 1, c: 2, dd: 3}", "has no parameter `dd`"),
        ("charge", "", "no function is registered as"),
        ("not a target", "", "names no function"),
        (
            "shop:marked",
            ", input: {order: 1}, retry: {max: 1s}",
            "error[HS308]",
        ),
    ],
)
def test_faults_are_told(code: Path, target: str, more: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_activities(parse_definition(activity(target, more), "d.yaml"), [code])
    assert expected in str(caught.value)
    assert "d.yaml:4:" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("shop:plain", ", input: {a: 1, c: 2}"),
        ("shop:plain", ", input: {a: 1, b: 2, c: 3, d: 4}"),
        ("shop:anything", ", input: {a: 1, whatever: 2}"),
        ("shop:plain", ', input: "$.input"'),
        ("shop:marked", ", input: {order: 1}"),
        ("pack.inner:work", ""),
    ],
)
def test_fitting_calls_pass(code: Path, target: str, more: str) -> None:
    assert set(check_activities(parse_definition(activity(target, more)), [code])) == {"a"}


def test_the_step_overrides_the_decorator_field_by_field(code: Path) -> None:
    text = definition(
        'id: a, type: activity, activity: "shop:marked", input: {order: 1}, next: b',
        'id: b, type: activity, activity: "shop:marked", input: {order: 1}, timeout: null, '
        "retry: {initial: 1s, never_on: []}, resources: {num_gpus: 1, custom: {tpu: 4}}, "
        "effects: at_least_once, grace: 0s",
    )
    options = check_activities(parse_definition(text), [code])
    plain, over = options["a"], options["b"]
    assert (plain.retry.max_attempts, plain.retry.initial_ms) == (5, 2_000)
    assert plain.retry.never_on == ("BadLine",)
    assert (plain.timeout_ms, plain.effects, plain.resources.num_cpus) == (
        30_000,
        "at_most_once",
        2,
    )
    assert (over.retry.max_attempts, over.retry.initial_ms, over.retry.never_on) == (5, 1_000, ())
    assert (over.timeout_ms, over.grace_ms, over.effects) == (None, 0, "at_least_once")
    assert (over.resources.num_cpus, over.resources.num_gpus) == (2, 1)
    assert over.resources.custom == {"disk": 3, "tpu": 4}


def test_steps_of_inner_scopes_are_looked_at_and_our_own_functions_are_not(code: Path) -> None:
    text = definition(
        'id: b, steps: [{id: a, type: activity, activity: "shop:nothing_such"}], next: p',
        "id: p, type: parallel, next: s, branches: "
        '[{name: l, steps: [{id: x, type: activity, activity: "shop:marked"}]}]',
        "id: s, type: script, language: shell, source: cat, next: h",
        "id: h, type: service_call, url: https://x/",
    )
    parsed = parse_definition(text, "d.yaml")
    with pytest.raises(DefinitionError) as caught:
        check_activities(parsed, [code])
    assert [(each.step, each.code) for each in caught.value.diagnostics] == [
        ("a", "HS302"),
        ("x", "HS304"),
    ]
    assert entry_modules(parsed) == ("shop",)


def test_entry_modules_are_those_that_activities_name() -> None:
    text = definition(
        'id: a, type: activity, activity: "shop.orders:charge", next: b',
        'id: b, type: activity, activity: "mail:send", next: c',
        'id: c, type: activity, activity: "registered"',
    )
    assert entry_modules(parse_definition(text)) == ("shop.orders", "mail")


class TestHandlers:
    """The functions of custom actions are looked at as those of steps are."""

    def handling(self, **custom: Any) -> Definition:
        actions = [{"pause": {}}, {"custom": custom}]
        return Definition.model_validate(
            {
                "id": "d",
                "version": "1",
                "steps": [{"id": "a", "type": "decision"}],
                "handlers": [{"event": "refund", "actions": actions}],
            }
        )

    def test_their_options_are_merged(self, code: Path) -> None:
        definition = self.handling(activity="shop:marked", input={"order": 1})
        options = check_activities(definition, [code])
        assert options[custom_key(0, 1)].retry.max_attempts == 5
        assert entry_modules(definition) == ("shop",)

    def test_faults_are_told_with_their_place(self, code: Path) -> None:
        with pytest.raises(DefinitionError) as caught:
            check_activities(self.handling(activity="shop:marked"), [code])
        (fault,) = caught.value.diagnostics
        assert (fault.code, fault.field) == ("HS304", "handlers[0].actions[1].custom.activity")
