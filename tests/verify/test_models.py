"""Other people's models: PNML and BPMN read as nets, with verdicts that are known."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from heliostat.verify.certificates.checker import check
from heliostat.verify.properties.soundness import verify_model
from heliostat.verify.properties.verdict import MissingTransition, Report
from heliostat.verify.reading.files import Model, Unreadable, read


def verified(model: Model) -> Report:
    report = verify_model(model)
    for verdict in report.verdicts:
        if verdict.certificate is not None:
            net = verdict.net or report.net
            assert net is not None
            check(net, verdict.certificate)
    return report


def outcomes(report: Report) -> dict[str, str]:
    return {verdict.asked: verdict.outcome for verdict in report.verdicts}


class TestPnml:
    def test_a_workflow_net_is_sound_if_its_end_can_always_be_reached_alone(self) -> None:
        report = verified(
            _pnml("i>fork fork>a fork>b a>join b>join join>o", transitions="fork join")
        )
        assert report.sound
        assert report.about("deadlock").engine == "reduction"

    def test_a_workflow_net_whose_choice_is_joined_by_all_gets_stuck(self) -> None:
        arcs = "i>x i>y x>a y>b a>join b>join join>o"
        report = verified(_pnml(arcs, transitions="x y join"))
        assert report.about("deadlock").outcome == "fails"
        assert report.about("deadlock").run[0].step in ("x", "y")

    def test_a_workflow_net_whose_fork_is_not_joined_ends_twice_and_is_not_sound(self) -> None:
        arcs = "i>fork fork>a fork>b a>x b>y x>o y>o"
        report = verified(_pnml(arcs, transitions="fork x y"))
        assert report.about("deadlock").outcome == "fails"

    @pytest.mark.parametrize("count", [2, 5, 9])
    def test_philosophers_who_each_hold_one_fork_wait_for_ever(self, count: int) -> None:
        arcs, tokens = "", dict[str, int]()
        for n in range(count):
            left, right = f"f{n}", f"f{(n + 1) % count}"
            tokens |= {left: 1, f"think{n}": 1}
            arcs += f"think{n}>take{n} {left}>take{n} take{n}>has{n} "
            arcs += f"has{n}>eat{n} {right}>eat{n} eat{n}>think{n} eat{n}>{left} eat{n}>{right} "
        names = " ".join(f"take{n} eat{n}" for n in range(count))
        report = verified(_pnml(arcs, transitions=names, tokens=tokens))
        assert outcomes(report) == {
            "deadlock": "fails",
            "dead steps": "holds",
            "boundedness": "holds",
        }
        assert {each.step for each in report.about("deadlock").run} >= {
            f"take{n}" for n in range(count)
        }
        assert "`eat0` waits for `f1`" in report.about("deadlock").reason

    def test_philosophers_who_take_both_forks_at_once_never_wait_for_ever(self) -> None:
        arcs, tokens = "", dict[str, int]()
        for n in range(6):
            left, right = f"f{n}", f"f{(n + 1) % 6}"
            tokens |= {left: 1, f"think{n}": 1}
            arcs += f"think{n}>take{n} {left}>take{n} {right}>take{n} take{n}>eat{n} "
            arcs += f"eat{n}>put{n} put{n}>think{n} put{n}>{left} put{n}>{right} "
        names = " ".join(f"take{n} put{n}" for n in range(6))
        report = verified(_pnml(arcs, transitions=names, tokens=tokens))
        assert outcomes(report) == {
            "deadlock": "holds",
            "dead steps": "holds",
            "boundedness": "holds",
        }

    def test_a_token_that_nothing_takes_is_named(self) -> None:
        report = verified(_pnml("p>t t>q t>r", transitions="t", tokens={"p": 1}))
        told = report.about("deadlock").reason
        assert told == "nothing takes what is left on `q`, `r`: let something follow there"

    def test_a_net_that_leaves_tokens_behind_is_unbounded(self) -> None:
        report = verified(_pnml("p>t t>p t>q", transitions="t", tokens={"p": 1}))
        assert report.about("boundedness").outcome == "fails"

    def test_a_transition_that_lacks_a_token_for_ever_is_dead(self) -> None:
        arcs = "p>t t>q q>u u>p p>v r>v v>p"
        report = verified(_pnml(arcs, transitions="t u v", tokens={"p": 1}))
        assert report.about("deadlock").outcome == "holds"
        assert report.about("dead steps").steps == ("v",)

    def test_pages_references_and_final_markings_are_read(self) -> None:
        [model] = read(
            b"""<pnml xmlns="http://www.pnml.org/version-2009/grammar/pnml">
            <net id="n" type="http://www.pnml.org/version-2009/grammar/ptnet"><page id="g">
              <place id="a"><initialMarking><text> 2 </text></initialMarking></place>
              <page id="h"><referencePlace id="r" ref="a"/><place id="b"/>
                <transition id="t"><name><text>Both</text></name></transition>
                <arc id="1" source="r" target="t"><inscription><text>2</text></inscription></arc>
                <arc id="2" source="t" target="b"/></page></page>
              <finalmarkings><marking><place idref="b"><text>1</text></place></marking>
              </finalmarkings></net></pnml>"""
        )
        assert verified(model).sound

    def test_transitions_are_called_by_name_and_older_files_are_read(self) -> None:
        [model] = read(
            b"""<pnml><net id="n"><place id="p"><initialMarking><value>Default,1</value>
            </initialMarking></place><place id="q"/>
            <transition id="t"><name><value>ship</value></name></transition>
            <arc id="a" source="p" target="t"/><arc id="b" source="t" target="q"/></net></pnml>"""
        )
        assert model.steps == ("ship",)
        assert model.ends
        assert verified(model).sound

    @pytest.mark.parametrize(
        ("kind", "sound"),
        [
            ("inhibitor", True),  # `late` waits until a has been emptied
            ("reset", True),
            ("test", False),  # and here until it is filled, which it is no more
        ],
    )
    @pytest.mark.parametrize(
        "written", ["<type value='{}'/>", "<arctype><text>{}</text></arctype>"]
    )
    def test_arcs_that_tools_add_are_known(self, written: str, kind: str, sound: bool) -> None:
        """A net i > begin > a, b; a > use; b > late > o: late looks at a by the arc in question."""
        content = f"""<pnml><net id="n"><place id="i"><toolspecific tool="x" version="1"><place/>
            </toolspecific></place><place id="a"/><place id="b"/><place id="u"/><place id="o"/>
            <transition id="begin"/><transition id="use"/><transition id="late"/>
            <arc id="1" source="i" target="begin"/><arc id="2" source="begin" target="a"/>
            <arc id="3" source="begin" target="b"/><arc id="4" source="a" target="use"/>
            <arc id="5" source="use" target="u"/><arc id="6" source="b" target="late"/>
            <arc id="7" source="late" target="o"/><arc id="8" source="u" target="late">
            <type value="reset"/></arc><arc id="9" source="a" target="late">
            {written.format(kind)}</arc></net></pnml>"""
        [model] = read(content.encode())
        report = verified(model)
        assert (report.about("deadlock").outcome == "holds") is sound

    def test_each_net_of_a_file_is_a_model(self) -> None:
        models = read(b"<pnml><net id='one'><place id='p'/></net><net id='two'/></pnml>")
        assert [model.name for model in models] == ["one", "two"]

    def test_what_vendors_add_hides_nothing(self) -> None:
        [model] = read(
            b"""<pnml xmlns:v="urn:v"><net id="n"><place id="i" v:id="x"/><place id="o"/>
            <transition id="t" v:id="i"/><arc id="1" source="i" target="t"/>
            <arc id="2" source="t" v:target="i" target="o"/></net></pnml>"""
        )
        assert verified(model).sound

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"<?xml version='1.0' encoding='utf-7'?><pnml/>", "line 1: "),
            (
                b"<pnml><net><finalmarkings><marking><place idref='x'/></marking>\
</finalmarkings></net></pnml>",
                "its idref 'x' is no place",
            ),
            (b"<pnml>", "no element found"),
            (b"<net/>", "neither PNML's <pnml> nor BPMN's <definitions>"),
            (b"<pnml/>", "with a <net>"),
            (b'<!DOCTYPE x [<!ENTITY e "1">]><pnml/>', "line 1: it declares a document type"),
            (b'<pnml><net type="symmetricnet"/></pnml>', "place/transition nets can be read"),
            (b'<pnml><net><place id="p"/>\n<arc source="p" target="t"/></net></pnml>', "line 2"),
            (
                b'<pnml><net><place id="p"/><transition id="t"/><arc source="p" target="t">\
<arctype><text>stochastic</text></arctype></arc></net></pnml>',
                "an arc of type 'stochastic'",
            ),
            (
                b'<pnml><net><place id="p"/><transition id="t"/><arc source="p" target="t">\
<type value="inhibitor"/><inscription><text>2</text></inscription></arc></net></pnml>',
                "an inhibitor of more than one token",
            ),
            (
                b'<pnml><net>\
<place id="p"><capacity><value>3</value></capacity></place></net></pnml>',
                "it has a capacity",
            ),
            (
                b"<pnml><net><place id='p'><initialMarking><text>x</text></initialMarking></place>\
</net></pnml>",
                "initialMarking 'x' is no number",
            ),
        ],
    )
    def test_what_is_none_is_refused_with_its_place(self, content: bytes, told: str) -> None:
        with pytest.raises(Unreadable) as error:
            read(content)
        assert told in str(error.value)


class TestBpmn:
    def test_gateways_that_match_are_sound(self) -> None:
        for kind in ("exclusive", "parallel", "inclusive"):
            report = verified(_bpmn(_gateways(kind, kind)))
            assert report.sound, kind
            assert report.about("deadlock").exact

    def test_a_choice_that_a_parallel_gateway_joins_gets_stuck(self) -> None:
        verdict = verified(_bpmn(_gateways("exclusive", "parallel"))).about("deadlock")
        assert verdict.outcome == "fails"
        assert isinstance(verdict.deadlocks[0].pattern, MissingTransition)

    def test_a_fork_that_nothing_joins_ends_twice_and_is_not_safe(self) -> None:
        report = verified(_bpmn(_gateways("parallel", "exclusive")))
        assert outcomes(report) == {
            "deadlock": "holds",
            "livelock": "holds",
            "dead steps": "holds",
            "boundedness": "holds",
            "safeness": "fails",
            "proper completion": "fails",
        }
        assert not report.sound
        assert report.about("proper completion").reason == "e may be reached more than once"
        assert {each.step for each in report.about("safeness").run} >= {"a", "b"}

    def test_an_inclusive_gateway_waits_for_what_may_still_come(self) -> None:
        """It joins an inclusive and a parallel split, and a choice whose other way ends."""
        assert verified(_bpmn(_gateways("parallel", "inclusive"))).sound
        assert verified(_bpmn(_gateways("exclusive", "inclusive"))).sound

    def test_an_error_in_a_subprocess_empties_it(self) -> None:
        report = verified(
            _bpmn(
                """
                <startEvent id="s"/><subProcess id="sub"><startEvent id="i"/>
                  <parallelGateway id="g"/><task id="a"/><task id="b"/>
                  <endEvent id="bad"><errorEventDefinition errorRef="E"/></endEvent>
                  <endEvent id="good"/>
                  <sequenceFlow id="1" sourceRef="i" targetRef="g"/>
                  <sequenceFlow id="2" sourceRef="g" targetRef="a"/>
                  <sequenceFlow id="3" sourceRef="g" targetRef="b"/>
                  <sequenceFlow id="4" sourceRef="a" targetRef="bad"/>
                  <sequenceFlow id="5" sourceRef="b" targetRef="good"/></subProcess>
                <boundaryEvent id="caught" attachedToRef="sub">
                  <errorEventDefinition errorRef="E"/></boundaryEvent>
                <task id="mend"/><endEvent id="e"/><endEvent id="f"/>
                <sequenceFlow id="6" sourceRef="s" targetRef="sub"/>
                <sequenceFlow id="7" sourceRef="sub" targetRef="e"/>
                <sequenceFlow id="8" sourceRef="caught" targetRef="mend"/>
                <sequenceFlow id="9" sourceRef="mend" targetRef="f"/>"""
            )
        )
        assert report.about("deadlock").outcome == "holds"
        assert report.about("livelock").outcome == "holds"
        assert "mend" not in report.about("dead steps").steps

    def test_a_deadlock_in_a_subprocess_is_none_the_less_one_for_its_timer(self) -> None:
        inner = _gateways("exclusive", "parallel")
        report = verified(
            _bpmn(
                f"""
                <startEvent id="so"/><subProcess id="sub">{inner}</subProcess><endEvent id="eo"/>
                <boundaryEvent id="late" attachedToRef="sub"><timerEventDefinition/></boundaryEvent>
                <sequenceFlow id="x" sourceRef="so" targetRef="sub"/>
                <sequenceFlow id="y" sourceRef="sub" targetRef="eo"/>
                <sequenceFlow id="z" sourceRef="late" targetRef="eo"/>"""
            )
        )
        assert report.about("deadlock").outcome == "fails"

    def test_a_terminating_end_empties_the_process(self) -> None:
        steps = """
            <startEvent id="s"/><parallelGateway id="g"/><task id="a"/><task id="b"/>
            <parallelGateway id="never"/>
            <endEvent id="e"><terminateEventDefinition/></endEvent>
            <sequenceFlow id="1" sourceRef="s" targetRef="g"/>
            <sequenceFlow id="2" sourceRef="g" targetRef="a"/>
            <sequenceFlow id="3" sourceRef="g" targetRef="b"/>
            <sequenceFlow id="4" sourceRef="a" targetRef="e"/>
            <sequenceFlow id="5" sourceRef="b" targetRef="e"/>"""
        assert verified(_bpmn(steps)).sound

    def test_a_collapsed_subprocess_is_an_activity(self) -> None:
        model = _bpmn(f"""
            <startEvent id="s"/><subProcess id="sub"/><endEvent id="e"/><task id="late"/>
            <boundaryEvent id="b" attachedToRef="sub"><timerEventDefinition/></boundaryEvent>
            {_flows("s>sub sub>e b>late")}""")
        assert verified(model).sound
        assert "sub" in model.steps

    @pytest.mark.parametrize("interrupts", [True, False])
    def test_an_event_subprocess_begins_at_any_time_and_empties_the_rest_if_it_interrupts(
        self, interrupts: bool
    ) -> None:
        """The process waits in vain for `never`; only what interrupts leads past the join."""
        said = "" if interrupts else ' isInterrupting="false"'
        model = _bpmn(f"""
            <startEvent id="s"/><parallelGateway id="g"/><task id="a"/><endEvent id="e"/>
            <subProcess id="sub" triggeredByEvent="true">
              <startEvent id="on"{said}><messageEventDefinition/></startEvent><task id="t"/>
              <endEvent id="f"/>{_flows("on>t t>f")}</subProcess>
            {_flows("s>g g>a a>e")}""")
        report = verified(model)
        assert report.sound
        assert [each.kind for each in report.about("deadlock").rests_on] == ["event subprocess"]
        assert {"on", "t", "f"} < {*model.steps}
        joined = _bpmn(f"""
            <startEvent id="s"/><exclusiveGateway id="x"/><parallelGateway id="j"/>
            <task id="a"/><task id="b"/><endEvent id="e"/>
            <subProcess id="sub" triggeredByEvent="true">
              <startEvent id="on"{said}><errorEventDefinition/></startEvent><task id="t"/>
              {_flows("on>t")}</subProcess>{_flows("s>x x>a x>b a>j b>j j>e")}""")
        # an error may come at any time: what interrupts always leads out
        assert (verified(joined).about("deadlock").outcome == "holds") is interrupts

    def test_an_error_goes_to_the_event_subprocess_for_it(self) -> None:
        def process(code: str) -> Model:
            return _bpmn(f"""
                <startEvent id="s"/>
                <endEvent id="lost"><errorEventDefinition errorRef="E"/></endEvent>
                <subProcess id="sub" triggeredByEvent="true">
                  <startEvent id="on"><errorEventDefinition errorRef="{code}"/></startEvent>
                  <task id="t"/>{_flows("on>t")}</subProcess>{_flows("s>lost")}""")

        assert verified(process("E")).sound
        assert verified(process("F")).sound  # it may come from anywhere else

    def test_an_error_that_nothing_catches_is_no_dead_step(self) -> None:
        model = _bpmn(f"""<startEvent id="s"/><exclusiveGateway id="x"/><endEvent id="e"/>
            <endEvent id="f"><errorEventDefinition/></endEvent>{_flows("s>x x>e x>f")}""")
        assert verified(model).about("dead steps").outcome == "holds"

    def test_a_cancelled_transaction_is_left_by_its_cancel_event(self) -> None:
        def process(boundary: str) -> Model:
            return _bpmn(f"""
                <startEvent id="s"/><endEvent id="e"/>{boundary}<task id="undone"/>
                <transaction id="tx"><startEvent id="b"/><parallelGateway id="g"/><task id="slow"/>
                  <task id="quick"/><endEvent id="c"><cancelEventDefinition/></endEvent>
                  <endEvent id="d"/>{_flows("b>g g>slow g>quick slow>d quick>c")}</transaction>
                {_flows("s>tx tx>e" + (" x>undone" if boundary else ""))}""")

        boundary = """<boundaryEvent id="x" attachedToRef="tx"><cancelEventDefinition/>
            </boundaryEvent>"""
        report = verified(process(boundary))
        assert report.about("deadlock").outcome == "holds"
        # each way through it cancels, so the transaction never completes
        assert report.about("dead steps").steps == ("e",)

    def test_compensation_is_passed_over(self) -> None:
        model = _bpmn(f"""
            <startEvent id="s"/><task id="book"/><endEvent id="e"/>
            <intermediateThrowEvent id="undo"><compensateEventDefinition/></intermediateThrowEvent>
            <boundaryEvent id="c" attachedToRef="book"><compensateEventDefinition/></boundaryEvent>
            <task id="cancel" isForCompensation="true"/>
            <association id="a" sourceRef="c" targetRef="cancel"/>
            {_flows("s>book book>undo undo>e")}""")
        assert verified(model).sound
        assert "cancel" not in model.steps

    def test_a_complex_gateway_that_splits_takes_some_ways(self) -> None:
        model = _bpmn(f"""
            <startEvent id="s"/><complexGateway id="g"><incoming>1</incoming></complexGateway>
            <task id="a"/><task id="b"/>{_flows("s>g g>a g>b")}""")
        assert verified(model).sound

    def test_each_process_of_a_file_is_a_model(self) -> None:
        one = '<startEvent id="s"/><task id="t"/><sequenceFlow id="f" sourceRef="s" targetRef="t"/>'
        models = read(
            f'<definitions><process id="p">{one}</process><process id="q">{one}</process>'
            "</definitions>".encode()
        )
        assert [model.name for model in models] == ["p", "q"]
        assert all(verified(model).sound for model in models)

    @pytest.mark.parametrize(
        ("inside", "told"),
        [
            ("<complexGateway id='x'/>", "<complexGateway id='x'>: a complex gateway"),
            ("<task id='t'/><task id='t'/>", "another element has this id"),
            ("<sequenceFlow id='f' sourceRef='a' targetRef='b'/>", "its sourceRef 'a' is no"),
            (
                "<subProcess id='s' triggeredByEvent='true'/>",
                "an event subprocess begins with one start event",
            ),
            (
                "<complexGateway id='x'><incoming>a</incoming><incoming/></complexGateway>",
                "a complex gateway",
            ),
            ("<boundaryEvent id='b' attachedToRef='t'/>", "it is attached to 't'"),
        ],
    )
    def test_what_is_not_read_is_refused_with_its_place(self, inside: str, told: str) -> None:
        with pytest.raises(Unreadable, match="line 2") as error:
            read(f"<definitions><process id='p'>\n{inside}</process></definitions>".encode())
        assert told in str(error.value)


def _pnml(arcs: str, *, transitions: str, tokens: dict[str, int] | None = None) -> Model:
    """A net written as `place>transition transition>place`."""
    pairs = [arc.split(">") for arc in arcs.split()]
    named = transitions.split()
    places = dict.fromkeys(node for pair in pairs for node in pair if node not in named)
    lines = [f'<transition id="{each}"/>' for each in named]
    for each in places:
        count = (tokens or {}).get(each, 0)
        lines.append(
            f'<place id="{each}"><initialMarking><text>{count}</text></initialMarking></place>'
        )
    lines += _arcs(pairs)
    [model] = read(f"<pnml><net id='net'>{''.join(lines)}</net></pnml>".encode())
    return model


def _arcs(pairs: Iterable[list[str]]) -> list[str]:
    return [
        f'<arc id="{n}" source="{source}" target="{target}"/>'
        for n, (source, target) in enumerate(pairs)
    ]


def _bpmn(inside: str) -> Model:
    space = "http://www.omg.org/spec/BPMN/20100524/MODEL"
    [model] = read(
        f'<b:definitions xmlns:b="{space}" xmlns="{space}"><process id="p">{inside}</process>'
        "</b:definitions>".encode()
    )
    return model


def _flows(arcs: str) -> str:
    """Sequence flows written as `source>target`."""
    pairs = [arc.split(">") for arc in arcs.split()]
    return "".join(
        f'<sequenceFlow id="{source}_{target}" sourceRef="{source}" targetRef="{target}"/>'
        for source, target in pairs
    )


def _gateways(split: str, join: str) -> str:
    return f"""
        <startEvent id="s"/><{split}Gateway id="g"/><task id="a"/><task id="b"/>
        <{join}Gateway id="j"/><endEvent id="e"/>
        <sequenceFlow id="1" sourceRef="s" targetRef="g"/>
        <sequenceFlow id="2" sourceRef="g" targetRef="a"/>
        <sequenceFlow id="3" sourceRef="g" targetRef="b"/>
        <sequenceFlow id="4" sourceRef="a" targetRef="j"/>
        <sequenceFlow id="5" sourceRef="b" targetRef="j"/>
        <sequenceFlow id="6" sourceRef="j" targetRef="e"/>"""
