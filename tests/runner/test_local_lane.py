"""What the local lane promises, clause by clause, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal

from heliostat.actors.dispatch.protocol import Lost, Raised, Returned, Stopped, TimedOut

from .conftest import Workshop

GATED = """
    import os, time

    def work(gate):
        while not os.path.exists(gate):
            time.sleep(0.005)
"""


class TestEveryAssignmentEndsOnce:
    async def test_returned(self, workshop: Workshop) -> None:
        host = await workshop.host()
        host.pool.send([workshop.step("tiny", input={"x": 1})])
        (report,) = await host.hear(1)
        assert isinstance(report, Returned)
        assert report.output == {"x": 2}
        assert report.output_bytes > 0
        assert report.extracts is None

    async def test_many_in_order_of_arrival(self, workshop: Workshop) -> None:
        host = await workshop.host()
        steps = [workshop.step("tiny", input={"x": number}) for number in range(2_000)]
        host.pool.send(steps)
        reports = await host.hear(2_000)
        assert [(r.key, r.at) for r in reports] == [(s.key, s.at) for s in steps]

    async def test_one_sent_twice_runs_once(self, workshop: Workshop) -> None:
        host = await workshop.host()
        step = workshop.step("mark", input={"path": str(workshop.root / "m"), "seconds": 0.2})
        host.pool.send([step, step])
        await host.until((workshop.root / "m").exists)
        host.pool.send([step])
        await host.hear(1)
        last = workshop.step("tiny")
        host.pool.send([step, last])  # in their order, by the one runner that there is
        reports = await host.hear(2)
        assert [report.key for report in reports] == [step.key, last.key]
        assert (workshop.root / "m").read_text() == "x"

    async def test_raised(self, workshop: Workshop) -> None:
        host = await workshop.host()
        host.pool.send([workshop.step("nap", input={"seconds": "x"}), workshop.step("gone")])
        wrong, missing = await host.hear(2)
        assert isinstance(wrong, Raised)
        assert wrong.failure.type == "TypeError"
        assert isinstance(missing, Raised)
        assert "gone" in missing.failure.message


class TestLosses:
    async def test_one_that_ran_alone_counts(self, workshop: Workshop) -> None:
        host = await workshop.host()
        for function in ("die", "segfault"):
            host.reports.clear()
            host.pool.send([workshop.step(function, alone=True)])
            (report,) = await host.hear(1)
            assert isinstance(report, Lost)
            assert report.counted
        host.reports.clear()
        host.pool.send([workshop.step("tiny")])  # by a new runner
        assert isinstance((await host.hear(1))[0], Returned)

    async def test_with_ten_behind_nobody_is_blamed(self, workshop: Workshop) -> None:
        host = await workshop.host(window_us=10_000_000)
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)
        host.reports.clear()
        begun = workshop.root / "m"
        host.pool.send([workshop.step("mark", input={"path": str(begun), "seconds": 600})])
        host.pool.send([workshop.step("tiny") for _ in range(10)])
        await host.until(begun.exists)
        assert [lane.unfinished for lane in host.pool.lanes] == [11]
        os.kill(workshop.pid(host), signal.SIGKILL)
        reports = await host.hear(11)
        losses = [report for report in reports if isinstance(report, Lost)]
        assert len(losses) + sum(isinstance(r, Returned) for r in reports) == 11
        assert losses
        assert not any(loss.counted for loss in losses)

    async def test_what_was_taken_back_is_sent_elsewhere(self, workshop: Workshop) -> None:
        host = await workshop.host()
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)
        host.reports.clear()
        begun = workshop.root / "m"
        slow = workshop.step("mark", input={"path": str(begun), "seconds": 600})
        host.pool.send([slow])
        host.pool.send([workshop.step("tiny") for _ in range(10)])
        await host.until(lambda: begun.exists() and host.has_noticed(slow))
        await host.until(lambda: [lane.unfinished for lane in host.pool.lanes] == [1])
        os.kill(workshop.pid(host), signal.SIGKILL)
        reports = await host.hear(11)
        assert [type(report) for report in reports] == [Lost] + [Returned] * 10
        assert reports[0].counted  # type: ignore[union-attr]  # a Lost

    async def test_finished_before_the_death_is_reported(self, workshop: Workshop) -> None:
        host = await workshop.host()
        host.pool.send([workshop.step("nap", input={"seconds": 0.01}), workshop.step("die")])
        reports = await host.hear(2)
        assert [type(report) for report in reports] == [Returned, Lost]


class TestSlowSteps:
    async def test_nothing_waits_behind_one(self, workshop: Workshop) -> None:
        host = await workshop.host(runners_max=2)
        host.pool.send([workshop.step("tiny") for _ in range(5)])
        await host.hear(5)
        host.reports.clear()
        slow = workshop.step("nap", input={"seconds": 600})
        host.pool.send([slow])
        host.pool.send([workshop.step("tiny") for _ in range(50)])
        await host.hear(50)
        assert all(isinstance(report, Returned) for report in host.reports)
        assert slow.key not in {report.key for report in host.reports}  # it runs still

    async def test_one_is_noticed(self, workshop: Workshop) -> None:
        host = await workshop.host()
        gate = workshop.root / "gate"
        workshop.write("gated", GATED)
        slow = workshop.step("gated:work", input={"gate": str(gate)})
        host.pool.send([slow])
        await host.until(lambda: host.has_noticed(slow))
        gate.touch()
        await host.hear(1)
        assert [notice.kind for notice in host.notices] == ["started"]

    async def test_alone_has_nobody_behind(self, workshop: Workshop) -> None:
        host = await workshop.host()
        host.pool.send(
            [workshop.step("tiny"), workshop.step("die", alone=True)]
            + [workshop.step("tiny") for _ in range(20)]
        )
        reports = await host.hear(22)
        assert [r.counted for r in reports if isinstance(r, Lost)] == [True]
        assert sum(isinstance(report, Returned) for report in reports) == 21


class TestTimeouts:
    async def test_told_once_and_stopped_by_force(self, workshop: Workshop) -> None:
        host = await workshop.host()
        step = workshop.step("doze", input={"seconds": 60}, timeout_ms=100)
        host.pool.send([step, workshop.step("tiny")])
        (told,) = await host.hear(1)
        assert isinstance(told, TimedOut)
        host.pool.stop([(step.key, step.at, 300)])  # time enough to be told again
        reports = await host.hear(3)
        assert [type(report) for report in reports] == [TimedOut, Stopped, Returned]

    async def test_time_in_the_queue_does_not_count(self, workshop: Workshop) -> None:
        host = await workshop.host()
        # together longer than the timeout, each far below it: on a busy machine a nap is long
        nap = {"seconds": 0.4}
        host.pool.send([workshop.step("nap", input=nap, timeout_ms=4_000) for _ in range(12)])
        reports = await host.hear(12)
        assert all(isinstance(report, Returned) for report in reports)

    async def test_of_a_frozen_runner(self, workshop: Workshop) -> None:
        host = await workshop.host()
        begun = workshop.root / "m"
        step = workshop.step("mark", input={"path": str(begun), "seconds": 600}, timeout_ms=500)
        host.pool.send([step])
        await host.until(begun.exists)
        os.kill(workshop.pid(host), signal.SIGSTOP)
        host.pool.send([workshop.step("tiny")])
        (told,) = await host.hear(1)
        assert isinstance(told, TimedOut)
        host.pool.stop([(step.key, step.at, 100)])
        reports = await host.hear(3)
        assert [type(report) for report in reports] == [TimedOut, Stopped, Returned]

    async def test_one_that_is_stopped_for_good_is_ended_without_a_timeout(
        self, workshop: Workshop
    ) -> None:
        host = await workshop.host(frozen_ms=300, look_ms=50)
        step = workshop.step("nap", input={"seconds": 60})
        host.pool.send([step])
        os.kill(workshop.pid(host), signal.SIGSTOP)
        (lost,) = await host.hear(1)
        assert isinstance(lost, Lost)
        assert not lost.counted
        assert "SIGSTOP" in lost.cause

    async def test_of_one_that_holds_the_interpreter(self, workshop: Workshop) -> None:
        host = await workshop.host()
        step = workshop.step("hold", input={"seconds": 60}, timeout_ms=100)
        host.pool.send([step])
        await host.hear(1)
        host.pool.stop([(step.key, step.at, 100)])
        assert isinstance((await host.hear(2))[1], Stopped)


class TestStopping:
    async def test_neighbours_are_made_again_without_a_loss(self, workshop: Workshop) -> None:
        host = await workshop.host()
        host.pool.send([workshop.step("tiny")])
        await host.hear(1)
        host.reports.clear()
        slow = workshop.step("doze", input={"seconds": 60})
        host.pool.send([slow])
        host.pool.send([workshop.step("tiny") for _ in range(5)])
        host.pool.stop([(slow.key, slow.at, 0)])
        reports = await host.hear(6)
        assert sorted(type(report).__name__ for report in reports) == ["Returned"] * 5 + ["Stopped"]

    async def test_one_that_waits_was_never_begun(self, workshop: Workshop) -> None:
        host = await workshop.host()
        gate = workshop.root / "gate"
        workshop.write("gated", GATED)
        host.pool.send([workshop.step("gated:work", input={"gate": str(gate)})])
        waiting = workshop.step("mark", input={"path": str(workshop.root / "m")})
        host.pool.send([waiting])
        host.pool.stop([(waiting.key, waiting.at, 0)])
        await host.hear(1)
        gate.touch()
        reports = await host.hear(2)
        assert [type(report) for report in reports] == [Stopped, Returned]
        assert not (workshop.root / "m").exists()

    async def test_the_flag_and_a_result_within_the_grace(self, workshop: Workshop) -> None:
        workshop.write(
            "polite",
            """
            import time
            from heliostat.actors.runner.current import current
            def work(begun):
                open(begun, "w").close()
                attempt = current()
                while not attempt.cancelled:
                    time.sleep(0.005)
                return "as far as I got"
            """,
        )
        host = await workshop.host()
        begun = workshop.root / "begun"
        step = workshop.step("polite:work", input={"begun": str(begun)})
        host.pool.send([step])
        await host.until(begun.exists)
        host.pool.stop([(step.key, step.at, 60_000)])
        (report,) = await host.hear(1)
        assert isinstance(report, Returned)
        assert report.output == "as far as I got"

    async def test_async_and_generators_are_interrupted(self, workshop: Workshop) -> None:
        workshop.write(
            "waits",
            """
            import asyncio, time
            async def sleeper(begun):
                open(begun, "w").close()
                await asyncio.sleep(60)
            def counter(begun):
                open(begun, "w").close()
                while True:
                    time.sleep(0.005)
                    yield 1
            """,
        )
        host = await workshop.host()
        pid = workshop.pid(host)
        for function in ("waits:sleeper", "waits:counter"):
            host.reports.clear()
            begun = workshop.root / function.replace(":", "-")
            step = workshop.step(function, input={"begun": str(begun)})
            host.pool.send([step])
            await host.until(begun.exists)
            host.pool.stop([(step.key, step.at, 60_000)])
            assert isinstance((await host.hear(1))[0], Stopped)
        assert workshop.pid(host) == pid

    async def test_of_one_nobody_knows(self, workshop: Workshop) -> None:
        host = await workshop.host()
        step = workshop.step("tiny")
        host.pool.stop([(step.key, step.at, 0)])
        assert isinstance((await host.hear(1))[0], Stopped)


class TestKeptUntilAcknowledged:
    async def test_across_the_death_of_the_host(self, workshop: Workshop) -> None:
        first = await workshop.host("first")
        done = [workshop.step("tiny", input={"x": n}) for n in range(20)]
        first.pool.send(done)
        await first.hear(20)
        first.pool.acknowledge([(s.key, s.at) for s in done[:5]])
        gate = workshop.root / "gate"
        workshop.write("gated", GATED)
        slow = workshop.step("gated:work", input={"gate": str(gate)})
        first.pool.send([slow])
        await first.until(lambda: first.has_noticed(slow))  # from now on nothing is sent behind it
        first.pool.send([workshop.step("tiny") for _ in range(3)])
        workshop.pid(first)
        await first.pool.close()

        second = await workshop.host("second", recover=True)
        known = await second.pool.recover()
        assert known == {(s.key, s.at) for s in [*done[5:], slow]}
        gate.touch()
        reports = await second.hear(16)
        assert {(r.key, r.at) for r in reports} == known
        assert all(isinstance(report, Returned) for report in reports)
        second.acknowledge_all()
        second.acknowledge_all()
        second.pool.send([workshop.step("tiny")])
        await second.hear(17)
        second.acknowledge_all()
        await second.pool.close()

        async with asyncio.timeout(60):  # until the last acknowledgement has arrived
            while await (await workshop.host("third", recover=True)).pool.recover():
                pass

    async def test_timeout_of_an_adopted_attempt(self, workshop: Workshop) -> None:
        first = await workshop.host("first")
        begun = workshop.root / "m"
        slow = workshop.step("mark", input={"path": str(begun), "seconds": 60}, timeout_ms=600)
        first.pool.send([slow])
        await first.until(begun.exists)
        workshop.pid(first)
        await first.pool.close()
        second = await workshop.host("second", recover=True)
        assert await second.pool.recover() == {(slow.key, slow.at)}
        assert isinstance((await second.hear(1))[0], TimedOut)
        second.pool.stop([(slow.key, slow.at, 0)])
        assert isinstance((await second.hear(2))[1], Stopped)

    async def test_asked_again_by_the_same_host(self, workshop: Workshop) -> None:
        host = await workshop.host()
        step = workshop.step("tiny")
        host.pool.send([step])
        await host.hear(1)
        assert await host.pool.recover() == {(step.key, step.at)}
        await host.hear(2)
        host.acknowledge_all()
        assert await host.pool.recover() == frozenset()
        host.pool.send([workshop.step("tiny")])
        await host.hear(3)

    async def test_a_runner_that_answers_nothing_is_ended(self, workshop: Workshop) -> None:
        first = await workshop.host("first")
        os.kill(workshop.pid(first), signal.SIGSTOP)
        await first.pool.close()
        second = await workshop.host("second", recover=True, answer_ms=500)
        assert await second.pool.recover() == frozenset()
        second.pool.start()
        second.pool.send([workshop.step("tiny")])
        assert isinstance((await second.hear(1))[0], Returned)


class TestConnection:
    async def test_one_that_user_code_breaks_is_made_again(self, workshop: Workshop) -> None:
        workshop.write(
            "rude",
            """
            import os, socket
            def close_sockets():
                for fd in range(3, 64):
                    try:
                        one = socket.socket(fileno=os.dup(fd))
                        if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                            one.shutdown(socket.SHUT_RDWR)
                        one.close()
                    except OSError:
                        pass
                return "rude"
            """,
        )
        host = await workshop.host()
        pid = workshop.pid(host)
        host.pool.send([workshop.step("rude:close_sockets")])
        (report,) = await host.hear(1)
        assert isinstance(report, Returned)
        assert workshop.pid(host) == pid

    async def test_a_child_that_keeps_the_socket_hides_no_death(self, workshop: Workshop) -> None:
        workshop.write(
            "forks",
            """
            import os, time
            def fork_and_die(died):
                if os.fork() == 0:
                    # nor does it outlive the folder, which may go before it looks again
                    while os.path.isdir(os.path.dirname(died)) and not os.path.exists(died):
                        time.sleep(0.05)
                    os._exit(0)
                os._exit(1)
            """,
        )
        host = await workshop.host()
        died = workshop.root / "died"
        host.pool.send([workshop.step("forks:fork_and_die", input={"died": str(died)})])
        (report,) = await host.hear(1)  # before the child has ended
        died.touch()
        assert isinstance(report, Lost)

    async def test_another_deployment_is_refused(self, workshop: Workshop) -> None:
        from heliostat.actors.dispatch.pool import RunnerPool
        from heliostat.actors.dispatch.processes import ProcessFactory

        await workshop.host()
        factory = ProcessFactory(
            deployment="other", folder=workshop.root / "s", blobs=workshop.root / "blobs"
        )
        pool = RunnerPool(factory, print, deployment="other", incarnation="x")
        assert await pool.recover() == frozenset()
        assert pool.runner_count == 0
        await pool.close()
