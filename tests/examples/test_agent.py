"""The agent's loop: tools, people, limits."""

from __future__ import annotations

from agent import Move, agent, look_up, think

from heliostat.testing import Simulation


def test_it_looks_up_and_adds() -> None:
    run = Simulation(runs_functions=True).run(agent, "tea and cake")
    assert run.result() == "tea and cake: 7"
    assert len(run.calls(think)) == 4


def test_a_tool_that_fails_says_so_to_the_model(hs_simulation: Simulation) -> None:
    hs_simulation.step(think).returns(Move(kind="look_up", words="tea")).returns(
        Move(kind="answer", words="I do not know")
    )
    hs_simulation.step(look_up).raises(KeyError("tea"))
    run = hs_simulation.run(agent, "tea")
    assert run.result() == "I do not know"
    assert run.calls(think)[1]["seen"] == ["look_up failed: 'tea'"]


def test_one_that_hangs_is_stopped(hs_simulation: Simulation) -> None:
    hs_simulation.step(think).returns(Move(kind="look_up", words="tea")).returns(
        Move(kind="answer", words="later")
    )
    hs_simulation.step(look_up).hangs()
    run = hs_simulation.run(agent, "tea")
    assert run.calls(think)[1]["seen"] == ["look_up took too long"]
    assert run.elapsed.total_seconds() > 10


def test_a_person_answers_or_stops_it_or_does_not() -> None:
    for signal, data, told in [("answer", "cake", "cake"), ("stop", None, "stopped")]:
        simulation = Simulation(runs_functions=True)
        simulation.at("3h").signal(signal, data)
        assert simulation.run(agent, "something").result() == told
    left_alone = Simulation(runs_functions=True).run(agent, "something")
    assert left_alone.result() == "nothing"
    assert left_alone.elapsed.days == 1


def test_it_does_not_go_on_for_ever(hs_simulation: Simulation) -> None:
    hs_simulation.step(think).returns(Move(kind="look_up", words="tea"))
    hs_simulation.step(look_up).returns("3")
    run = hs_simulation.run(agent, "tea")
    assert run.failure is not None
    assert run.failure.type == "TooManyMoves"
    assert len(run.calls(think)) == 20
