"""What a user is told, and how an admin decides."""

from __future__ import annotations

import pytest

from actors.approval.actor import Approval
from actors.approval.answers import ApprovalAnswers
from actors.runtime.contract import FrozenClock, GiveUp
from schemas.asks import FindApproval, ListApprovals, ListNotifications
from schemas.base import TenantId, UserId
from schemas.commands import DecideApproval, DecisionOrder
from schemas.events import (
    AdminApproved,
    AdminRejected,
    ApprovalRequested,
    BestResultSelected,
    EffectPublished,
    JobEnded,
    UserNotified,
)
from schemas.jobs import JobEnding, JobState, Published
from tests.builders import JOB, TENANT, USER, admin_rejected, header, selection
from tests.unit.approval.memory import MemoryNotifications, MemoryQueue

ADMIN = UserId("usr_admin")


class Desk:
    """The module with everything it keeps."""

    def __init__(self) -> None:
        self.queue = MemoryQueue()
        self.notifications = MemoryNotifications()
        self.clock = FrozenClock()
        self.actor = Approval(queue=self.queue, notifications=self.notifications, clock=self.clock)
        self.answers = ApprovalAnswers(queue=self.queue, notifications=self.notifications)

    async def state(self) -> str:
        """Return where the job stands in the queue."""
        place = await self.queue.find(TENANT, JOB)
        assert place is not None
        return place.state

    async def told(self) -> list[str]:
        """Return the kinds of everything the user was told."""
        page = await self.notifications.page(TENANT, USER, limit=50)
        return [one.kind for one in page]


@pytest.fixture
def desk() -> Desk:
    """Return an empty desk."""
    return Desk()


def best_result(event_id: str = "evt_best") -> BestResultSelected:
    """Step 9."""
    return BestResultSelected(**header(event_id), payload=selection())


def requested(event_id: str = "evt_requested") -> ApprovalRequested:
    """Step 11 opens."""
    return ApprovalRequested(**header(event_id), payload=selection())


def decided(
    event_id: str, *, approve: bool, reason: str = "", by: UserId = ADMIN
) -> DecideApproval:
    """Return an admin's answer."""
    order = DecisionOrder(decided_by=by, approve=approve, reason=reason)
    return DecideApproval(**header(event_id), payload=order)


def job_ended(state: JobState, *, reason: str = "", code: str = "") -> JobEnded:
    """Return an ending."""
    ending = JobEnding(state=state, user_id=USER, reason=reason, code=code)
    return JobEnded(**header(f"evt_ended_{state}"), payload=ending)


def effect_published() -> EffectPublished:
    """Step 12."""
    where = Published(
        effect_id="fx_1",
        revision_id="rev_1",
        gallery_url="https://example.test/v1/gallery/fx_1",
        cdn_urls=(),
        user_id=USER,
    )
    return EffectPublished(**header("evt_published"), payload=where)


async def test_the_user_is_told_of_the_result(desk: Desk) -> None:
    """Step 10."""
    [said] = await desk.actor.receive(best_result())

    assert isinstance(said, UserNotified)
    assert (said.payload.kind, said.payload.channel) == ("result_ready", "in_app")
    assert selection().comparison_summary in said.payload.body
    assert await desk.told() == ["result_ready"]


async def test_telling_again_tells_once(desk: Desk) -> None:
    """A redelivery must not ring twice."""
    [first] = await desk.actor.receive(best_result())
    [again] = await desk.actor.receive(best_result())

    assert isinstance(first, UserNotified)
    assert isinstance(again, UserNotified)
    assert first.event_id == again.event_id
    assert await desk.told() == ["result_ready"]


async def test_a_request_waits_in_the_queue(desk: Desk) -> None:
    """With everything an admin needs to decide."""
    assert await desk.actor.receive(requested()) == []

    place = await desk.queue.find(TENANT, JOB)
    assert place is not None
    assert (place.state, place.selection) == ("pending", selection())


@pytest.mark.parametrize(("approve", "kind"), [(True, AdminApproved), (False, AdminRejected)])
async def test_a_decision_is_said_with_its_author(
    desk: Desk, *, approve: bool, kind: type[AdminApproved | AdminRejected]
) -> None:
    """Step 11."""
    await desk.actor.receive(requested())

    [said] = await desk.actor.receive(decided("evt_decide", approve=approve, reason="look"))

    assert isinstance(said, kind)
    assert (said.payload.decided_by, said.payload.reason) == (ADMIN, "look")
    assert said.payload.selection == selection()


async def test_a_second_decision_of_the_same_kind_says_the_same(desk: Desk) -> None:
    """Two admins press at once: one decision, under one id, by the first."""
    await desk.actor.receive(requested())
    [first] = await desk.actor.receive(decided("evt_1", approve=True))
    desk.clock.at = desk.clock.at.replace(hour=13)

    [again] = await desk.actor.receive(decided("evt_2", approve=True, by=UserId("usr_other")))

    assert again == first


async def test_a_second_decision_of_the_other_kind_changes_nothing(desk: Desk) -> None:
    """What is approved may be published already."""
    await desk.actor.receive(requested())
    await desk.actor.receive(decided("evt_1", approve=True))

    assert await desk.actor.receive(decided("evt_2", approve=False)) == []
    assert await desk.state() == "approved"


async def test_a_decision_about_an_unknown_job_is_given_up(desk: Desk) -> None:
    """It can never succeed."""
    with pytest.raises(GiveUp, match="job_1"):
        await desk.actor.receive(decided("evt_1", approve=True))


async def test_a_repeated_request_does_not_reopen_a_decision(desk: Desk) -> None:
    """The queue must not ask twice."""
    await desk.actor.receive(requested())
    await desk.actor.receive(decided("evt_1", approve=False))

    await desk.actor.receive(requested())

    assert await desk.state() == "rejected"


async def test_a_job_that_ends_leaves_the_queue(desk: Desk) -> None:
    """Nobody should judge what was cancelled."""
    await desk.actor.receive(requested())
    await desk.actor.receive(job_ended(JobState.CANCELLED))

    assert await desk.state() == "withdrawn"
    assert await desk.actor.receive(decided("evt_1", approve=True)) == []


async def test_an_ending_that_overtakes_the_request_keeps_it_out(desk: Desk) -> None:
    """Facts of one job are not heard in the order they happened."""
    await desk.actor.receive(job_ended(JobState.CANCELLED))
    await desk.actor.receive(requested())

    assert await desk.state() == "withdrawn"
    assert await desk.actor.receive(decided("evt_1", approve=True)) == []


async def test_an_approval_survives_its_jobs_ending(desk: Desk) -> None:
    """The queue is a record of who decided what."""
    await desk.actor.receive(requested())
    await desk.actor.receive(decided("evt_1", approve=True))
    await desk.actor.receive(job_ended(JobState.COMPLETE))

    assert await desk.state() == "approved"


@pytest.mark.parametrize(
    ("state", "what_next"),
    [
        (JobState.ANALYSIS_FAILED, "Upload the clip again"),
        (JobState.EXECUTION_FAILED, "Order the effect again later"),
        (JobState.QUOTA_EXCEEDED, "Top up your wallet"),
        (JobState.CANCELLED, "whenever you like"),
        (JobState.TIMED_OUT, "tell support"),
    ],
)
async def test_a_failure_says_why_and_what_next(
    desk: Desk, state: JobState, what_next: str
) -> None:
    """A user who is told neither will ask support both."""
    [said] = await desk.actor.receive(job_ended(state, reason="frame 3 is broken"))

    assert isinstance(said, UserNotified)
    assert said.payload.body.startswith("Frame 3 is broken. ")
    assert "Nothing was charged" in said.payload.body
    assert what_next in said.payload.body


@pytest.mark.parametrize("state", [JobState.COMPLETE, JobState.REJECTED])
async def test_an_ending_that_was_told_otherwise_is_not_told_again(
    desk: Desk, state: JobState
) -> None:
    """The publication and the rejection have their own words."""
    assert await desk.actor.receive(job_ended(state)) == []
    assert await desk.told() == []


async def test_a_rejection_is_told_with_the_admins_words(desk: Desk) -> None:
    """And that the tokens go back."""
    [said] = await desk.actor.receive(admin_rejected(reason="too dark"))

    assert isinstance(said, UserNotified)
    assert said.payload.kind == "rejected"
    assert said.payload.body.startswith("Too dark. Nothing was charged")


async def test_the_publication_is_told_with_its_address(desk: Desk) -> None:
    """Step 13."""
    [said] = await desk.actor.receive(effect_published())

    assert isinstance(said, UserNotified)
    assert (said.payload.kind, said.payload.link) == (
        "published",
        "https://example.test/v1/gallery/fx_1",
    )


async def test_a_publication_that_was_taken_back_is_not_told(desk: Desk) -> None:
    """Approved, cancelled, published a moment too late: the user hears of the cancellation only."""
    await desk.actor.receive(requested())
    await desk.actor.receive(decided("evt_1", approve=True))
    await desk.actor.receive(job_ended(JobState.CANCELLED))

    assert await desk.actor.receive(effect_published()) == []
    assert await desk.told() == ["cancelled"]


async def test_a_publication_that_is_heard_after_the_happy_ending_is_told(desk: Desk) -> None:
    """Facts of one job are not heard in the order they happened."""
    await desk.actor.receive(job_ended(JobState.COMPLETE))
    await desk.actor.receive(effect_published())

    assert await desk.told() == ["published"]


async def test_a_job_that_nobody_may_try_says_what_to_change(desk: Desk) -> None:
    """Ordering the same again would fail the same way."""
    [said] = await desk.actor.receive(
        job_ended(JobState.EXECUTION_FAILED, reason="none within 1 tokens", code="NO_PROVIDER")
    )

    assert isinstance(said, UserNotified)
    assert said.payload.body.endswith(
        "Name other providers, raise the budget or choose another effect."
    )


async def test_the_queue_can_be_asked(desk: Desk) -> None:
    """The admin studio reads it; other tenants see nothing."""
    await desk.actor.receive(requested())
    await desk.actor.receive(best_result())

    waiting = await desk.answers.answer(ListApprovals(tenant_id=TENANT))
    strange = await desk.answers.answer(FindApproval(tenant_id=TenantId("tnt_2"), job_id=JOB))
    told = await desk.answers.answer(ListNotifications(tenant_id=TENANT, user_id=USER))

    assert [one.job_id for one in waiting.approvals] == [JOB]  # type: ignore[attr-defined]
    assert strange.approvals == ()  # type: ignore[attr-defined]
    assert [one.job_id for one in told.notifications] == [JOB]  # type: ignore[attr-defined]
