"""What other engines show as samples, as functions: they do what they say there."""

from __future__ import annotations

from datetime import timedelta

from heliostat.testing import Run, Simulation

from . import elsewhere as e


def test_a_transfer_that_cannot_be_booked_is_paid_back(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.withdraw).returns("taken")
    hs_simulation.step(e.deposit).raises(e.InvalidAccount("no such account"))
    hs_simulation.step(e.refund).returns("paid back")
    run = hs_simulation.run(e.transfer, e.Transfer("a", "b", 5, "rent"))
    assert run.failure is not None
    assert run.failure.message == "deposit failed, paid back"


def test_and_if_that_fails_as_well_both_reasons_are_told(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.withdraw).returns("taken")
    hs_simulation.step(e.deposit).raises(e.InvalidAccount("no such account"))
    hs_simulation.step(e.refund).raises(OSError("down"))
    run = hs_simulation.run(e.transfer, e.Transfer("a", "b", 5, "rent"))
    assert run.failure is not None
    assert run.failure.message == "deposit: no such account; refund: down"
    assert len(run.calls(e.refund)) == 3


def test_a_subscription_is_billed_monthly_and_changes_on_signals(hs_simulation: Simulation) -> None:
    hs_simulation.at("40d").signal("amount", 20.0)
    hs_simulation.at("100d").signal("cancel")
    run = hs_simulation.run(e.subscription, e.Customer(id="c"))
    assert run.result() == 30.0
    assert [each["amount"] for each in run.calls(e.bill)] == [10.0, 20.0]
    assert run.elapsed.days == 100


def test_a_flow_maps_and_filters(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.list_repos).returns(["small", "large"])
    hs_simulation.step(e.stars).does(lambda repo: 5 if repo == "small" else 1500)
    run = hs_simulation.run(e.github_stars, "somebody")
    assert run.result() == {"large": 1500}
    assert run.calls(e.report) == [{"lines": ["large: 1,500 *"]}]


def test_a_nightly_load_branches_and_tells(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.extract).does(
        lambda date: e.Day(date=date, rows=2_000_000 if date == "2" else 5)
    )
    hs_simulation.step(e.full_load).returns(7)
    hs_simulation.step(e.increment).returns(3)
    hs_simulation.step(e.check).does(lambda rows: rows < 7)
    run = hs_simulation.run(e.nightly, ["1", "2"])
    assert [each["words"] for each in run.calls(e.notify)] == [
        "nightly failed: 2: 7 rows do not add up",
        "nightly is over",
    ]


def test_a_checkout_waits_for_its_payment(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.reserve).returns(True)
    hs_simulation.step(e.payment_link).returns("https://pay")
    hs_simulation.step(e.dispatch).returns("on its way")
    hs_simulation.at("3m").signal("payment", {"status": "paid"})
    run = hs_simulation.run(e.checkout, ["tea"])
    assert run.result() == "on its way"
    assert run.published == [("checkout.status", {"status": "pending", "url": "https://pay"})]


def test_jobs_are_polled_beside_other_work(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.submit).returns("j-1")
    hs_simulation.step(e.status).returns("RUNNING", times=3).returns("SUCCEEDED")
    hs_simulation.step(e.thumbnail).returns("small")
    hs_simulation.step(e.labels).returns([{"confidence": 0.95}, {"confidence": 0.1}])
    run = hs_simulation.run(e.photo, "key")
    assert run.result() == {"job": "j-1", "labels": [0.95], "thumbnail": "small"}
    assert run.elapsed // timedelta(seconds=30) == 4


def test_a_signup_is_confirmed_or_forgotten() -> None:
    user = e.User(name="ann", email="ann@example.com")

    def signed_up(clicks_at: str, secret: str) -> Run[bool]:
        simulation = Simulation()
        simulation.step(e.create_user).returns("u-1")
        simulation.at(clicks_at).event("link.clicked", {"secret": secret})
        return simulation.run(e.signup, user)

    forgotten = signed_up("1h", "of somebody else")
    assert forgotten.result() is False
    assert forgotten.calls(e.delete_user) == [{"id": "u-1"}]
    (secret,) = {each["secret"] for each in forgotten.calls(e.send_link)}
    assert signed_up("36h", secret).result() is True
    assert signed_up("100h", secret).result() is False


def test_a_journey_is_taken_back_newest_first(hs_simulation: Simulation) -> None:
    def book(kind: str, what: str) -> str:
        if kind == "hotel":
            raise ValueError(f"{what} is full")
        return f"{kind} {what}"

    hs_simulation.step(e.book).does(book)
    run = hs_simulation.run(e.journey, e.Trip(flight="f", car="c", hotel="h"))
    assert [each["booking"] for each in run.calls(e.cancel)] == ["car c", "flight f"]
    assert run.failure is not None
    assert run.failure.message == "h is full"


def test_pages_are_read_to_the_last(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.page).returns(e.Page(items=["a", "b"], next="2")).returns(
        e.Page(items=["c"], next=None)
    )
    hs_simulation.step(e.handle).raises(OSError).returns(True)
    assert hs_simulation.run(e.pages).result() == 2


def test_a_delivery_goes_from_state_to_state(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.charge).returns("paid")
    hs_simulation.at("10m").signal("status", "cooked")
    hs_simulation.at("50m").signal("status", "delivered")
    assert hs_simulation.run(e.delivery, {"id": 1}).result() is e.Status.DELIVERED
    late = Simulation()
    late.step(e.charge).returns("paid")
    late.at("10m").signal("status", "cooked")
    failure = late.run(e.delivery, {"id": 1}).failure
    assert failure is not None
    assert failure.message == "still cooked"


def test_a_video_is_encoded_in_chunks(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.split).returns(["1", "2"])
    hs_simulation.step(e.encode).does(lambda chunk, quality: f"{chunk}-{quality}")
    hs_simulation.step(e.join).does(lambda chunks: "+".join(chunks))
    run = hs_simulation.run(e.video, "film")
    assert run.result() == {"480p": "1-480p+2-480p", "1080p": "1-1080p+2-1080p"}


def test_retries_by_hand_wait_longer_each_time(hs_simulation: Simulation) -> None:
    hs_simulation.step(e.call_api).returns(None, times=2).returns({"ok": True, "value": 9})
    run = hs_simulation.run(e.by_hand, 1)
    assert run.result() == "9"
    assert run.elapsed // timedelta(seconds=1) == 2 + 4
