"""The engine's answers to commands and results, once and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec import structs

from actors.economic_engine.actor import EconomicEngine
from actors.economic_engine.answers import EconomicAnswers
from actors.economic_engine.core import Standing
from actors.economic_engine.errors import LedgerUnavailableError
from actors.economic_engine.memory import MemoryLedger
from actors.economic_engine.tracker import Tracker
from actors.runtime.contract import FrozenClock, GiveUp, Said, TryLater
from economics.pricing import PRICES
from schemas.asks import (
    ANY_TENANT,
    LedgerVerdict,
    ListJobs,
    Margins,
    ReadMargins,
    ReadStatement,
    ReadWallet,
    Statement,
    VerifyLedger,
    Wallet,
)
from schemas.base import JobId, Message, TaskId, TenantId
from schemas.events import TokensCharged, TokensHeld, TokensReleased, UserQuotaExceeded
from schemas.failures import FailureClass
from schemas.telemetry import ChargeMeasured, TelemetryPacket
from tests.builders import (
    JOB,
    TENANT,
    quality_evaluated,
    task_failed,
    task_succeeded,
    video_ingested,
)
from tests.unit.economic_engine.words import (
    exploration,
    hold_tokens,
    late_attempt,
    release_tokens,
    settle_tokens,
    top_up,
)


class Engine:
    """An engine with its ledger and a clock that moves on with every message."""

    def __init__(self, *, open_holds: int = 20) -> None:
        self.ledger = MemoryLedger()
        self.clock = FrozenClock()
        self.actor = EconomicEngine(
            ledger=self.ledger, book=PRICES, clock=self.clock, open_holds=open_holds
        )
        self.answers = EconomicAnswers(
            ledger=self.ledger, tracker=Tracker(), manifest=lambda: None, clock=self.clock
        )

    async def hear(self, *messages: Message) -> Sequence[Said]:
        """Hear them in turn and return what is said to the last."""
        said: Sequence[Said] = ()
        for message in messages:
            self.clock.at += timedelta(seconds=1)
            said = await self.actor.receive(message)
        return said

    async def available(self) -> int:
        """Return what is left in the wallet."""
        return (await self.ledger.wallet(TENANT)).available_microtokens

    async def sound(self) -> bool:
        """Say whether the audit finds nothing."""
        return (await self.ledger.verify()).problems == ()


async def test_a_hold_is_priced_and_reserved() -> None:
    """The price that is held is the price that was quoted, part by part."""
    engine = Engine()
    [said] = await engine.hear(top_up(), hold_tokens(priority="balanced"))

    assert isinstance(said, TokensHeld)
    assert said.payload.price.total == said.payload.amount_microtokens == 14_400_000
    assert said.payload.hold_id == "h1"
    assert said.cause_id == "evt_hold"
    assert await engine.available() == 5_600_000


async def test_an_empty_wallet_is_refused_before_anything_is_rendered() -> None:
    """The refusal says what it would take."""
    engine = Engine()
    [said] = await engine.hear(top_up(5_000_000), hold_tokens())

    assert isinstance(said, UserQuotaExceeded)
    assert said.payload.reason == "insufficient_balance"
    assert said.payload.required_microtokens == 12_000_000
    assert said.payload.available_microtokens == 5_000_000


async def test_a_refusal_is_not_taken_back_by_a_redelivery() -> None:
    """The saga ended the job; a late hold for it would stay open for ever."""
    engine = Engine()
    [first] = await engine.hear(hold_tokens())
    [again] = await engine.hear(top_up(), hold_tokens())

    assert isinstance(first, UserQuotaExceeded)
    assert isinstance(again, UserQuotaExceeded)
    assert again.event_id == first.event_id
    assert again.payload == first.payload
    assert await engine.available() == 20_000_000


async def test_too_many_jobs_at_once_are_refused() -> None:
    """The quota counts open jobs, not money."""
    engine = Engine(open_holds=1)
    second = hold_tokens("evt_2", hold_id="h2", job_id=JobId("job_2"))
    [said] = await engine.hear(top_up(), hold_tokens(), second)

    assert isinstance(said, UserQuotaExceeded)
    assert said.payload.reason == "user_quota"


async def test_a_budget_below_the_price_is_the_users_own_quota() -> None:
    """Nobody is charged more than she said she would pay."""
    engine = Engine()
    [said] = await engine.hear(top_up(), hold_tokens(budget=11_999_999))

    assert isinstance(said, UserQuotaExceeded)
    assert (said.payload.reason, said.payload.available_microtokens) == ("user_quota", 11_999_999)


async def test_a_job_is_charged_once_and_shows_what_all_candidates_cost() -> None:
    """The losing and the exploring candidate are costs of the job as well."""
    engine = Engine()
    await engine.hear(
        top_up(),
        hold_tokens(),
        task_succeeded(cost_microtokens=1_000_000),
        task_failed("evt_f", task_id="task_2", cost_microtokens=300_000),
        exploration(),
    )
    charged, packet = await engine.hear(settle_tokens())

    assert isinstance(charged, TokensCharged)
    assert charged.payload.amount_microtokens == 12_000_000
    assert charged.payload.cost_microtokens == 2_800_000
    assert charged.payload.marginality == pytest.approx(9.2 / 12.0)
    assert isinstance(packet, TelemetryPacket)
    [sample] = packet.samples
    assert isinstance(sample, ChargeMeasured)
    assert sample.provider_id == "fx-warm-grade-v1"
    assert sample.effect_type == "color_correction"
    assert sample.cost_microtokens == 2_800_000
    assert await engine.sound()


async def test_every_message_heard_again_is_answered_alike_and_moves_nothing() -> None:
    """At-least-once delivery: the whole job, twice, in the order it happened."""
    engine = Engine()
    job = [
        top_up(),
        hold_tokens(),
        task_succeeded(),
        exploration(),
        task_failed("evt_f", task_id="task_2", cost_microtokens=300_000),
        settle_tokens(),
    ]
    first = [await engine.hear(each) for each in job]
    entries = list(engine.ledger.entries)
    again = [await engine.hear(each) for each in job]

    assert [_essence(each) for each in first] == [_essence(each) for each in again]
    assert engine.ledger.entries == entries


async def test_a_cost_that_comes_after_the_charge_still_counts() -> None:
    """It is in the ledger, but a repeated settle says what it said the first time."""
    engine = Engine()
    await engine.hear(top_up(), hold_tokens(), task_succeeded(cost_microtokens=1_000_000))
    first = await engine.hear(settle_tokens())
    await engine.hear(task_failed("evt_f", task_id="task_2", cost_microtokens=300_000))
    again = await engine.hear(settle_tokens())
    statement = await engine.answers.answer(ReadStatement(tenant_id=TENANT, job_id=JOB))

    assert _essence(first) == _essence(again)
    assert isinstance(first[0], TokensCharged)
    assert first[0].payload.cost_microtokens == 1_000_000
    assert isinstance(statement, Statement)
    assert statement.account is not None
    assert statement.account.cost_microtokens == 1_300_000


async def test_a_charge_before_its_winner_was_booked_is_measured_by_the_booking() -> None:
    """Two consumers, no order: the revenue must reach the windows either way, once."""
    engine = Engine()
    early = await engine.hear(top_up(), hold_tokens(), settle_tokens())
    late = await engine.hear(task_succeeded(cost_microtokens=1_000_000))
    other = await engine.hear(exploration())

    assert [type(each) for each in early] == [TokensCharged]
    [packet] = late
    assert isinstance(packet, TelemetryPacket)
    [sample] = packet.samples
    assert isinstance(sample, ChargeMeasured)
    assert (sample.charged_microtokens, sample.cost_microtokens) == (12_000_000, 1_000_000)
    assert other == []


async def test_a_late_attempt_is_booked_beside_its_tasks_outcome() -> None:
    """A cancelled job's render goes on for a while; its cost reaches the ledger, once for each."""
    engine = Engine()
    told = [
        task_failed(cost_microtokens=300_000),
        late_attempt(),
        late_attempt("evt_other", agent_id="agent_2", cost=200_000),
    ]
    said = [await engine.hear(each) for each in (*told, *told)]
    statement = await engine.answers.answer(ReadStatement(tenant_id=TENANT, job_id=JOB))

    assert said == [[]] * 6
    assert isinstance(statement, Statement)
    assert [line.amount_microtokens for line in statement.lines] == [300_000, 700_000, 200_000]
    assert statement.account is not None
    assert statement.account.cost_by_task == {TaskId("task_1"): 1_200_000}
    assert statement.account.cost_microtokens == 1_200_000
    assert await engine.sound()


async def test_a_late_attempt_is_charged_to_exploration_when_it_explored() -> None:
    """Like the outcome of its task."""
    engine = Engine()
    late = late_attempt()
    await engine.hear(structs.replace(late, payload=structs.replace(late.payload, role="shadow")))

    [entry] = engine.ledger.entries
    assert (entry.transfer.debit, entry.transfer.credit) == (
        "platform:exploration",
        "provider:fx-warm-grade-v1",
    )
    assert entry.transfer.memo == "render, shadow, reported late"


async def test_a_late_attempt_does_not_pass_for_the_winners_outcome() -> None:
    """The charge waits for the booking that says who won, and is measured once."""
    engine = Engine()
    await engine.hear(top_up(), hold_tokens(), settle_tokens())
    early = await engine.hear(late_attempt(agent_id="agent_2"))
    [packet] = await engine.hear(task_succeeded(cost_microtokens=1_000_000))

    assert early == []
    assert isinstance(packet, TelemetryPacket)
    [sample] = packet.samples
    assert isinstance(sample, ChargeMeasured)
    assert sample.cost_microtokens == 1_700_000


async def test_a_late_attempt_without_a_cost_is_not_booked() -> None:
    """The ledger holds no empty transfer."""
    engine = Engine()

    assert await engine.hear(late_attempt(cost=0)) == []
    assert engine.ledger.entries == []


async def test_asking_for_a_charge_again_charges_once() -> None:
    """The saga reminds under an id of its own when the answer to the first request was lost."""
    engine = Engine()
    await engine.hear(top_up(), hold_tokens(), task_succeeded())
    first, _ = await engine.hear(settle_tokens())
    again, _ = await engine.hear(settle_tokens("evt_settle_again"))

    assert isinstance(first, TokensCharged)
    assert isinstance(again, TokensCharged)
    assert again.payload == first.payload
    assert again.event_id != first.event_id
    assert await engine.available() == 8_000_000
    assert await engine.sound()


async def test_a_release_gives_everything_back() -> None:
    """A rejected job costs its user nothing, though its renders cost us."""
    engine = Engine()
    [said] = await engine.hear(top_up(), hold_tokens(), task_succeeded(), release_tokens())

    assert isinstance(said, TokensReleased)
    assert said.payload.amount_microtokens == 12_000_000
    assert said.payload.reason == "rejected by an admin"
    assert await engine.available() == 20_000_000


async def test_a_settle_after_a_release_hears_of_the_release() -> None:
    """And the other way round: whichever came first stands."""
    released_first, settled_first = Engine(), Engine()
    [release] = await released_first.hear(
        top_up(), hold_tokens(), release_tokens(), settle_tokens()
    )
    [charge] = await settled_first.hear(top_up(), hold_tokens(), settle_tokens(), release_tokens())

    assert isinstance(release, TokensReleased)
    assert await released_first.available() == 20_000_000
    assert isinstance(charge, TokensCharged)
    assert await settled_first.available() == 8_000_000


async def test_a_release_that_overtakes_its_hold_keeps_it_from_opening() -> None:
    """A user who cancels at once must not find his tokens reserved for ever."""
    engine = Engine()
    [released] = await engine.hear(top_up(), release_tokens())
    [late] = await engine.hear(hold_tokens())

    assert isinstance(released, TokensReleased)
    assert isinstance(late, TokensReleased)
    assert late.payload.amount_microtokens == 0
    assert await engine.available() == 20_000_000


@pytest.mark.parametrize(
    "message",
    [
        settle_tokens(),
        top_up(0),
        top_up(10**16),
        hold_tokens(effect_type="time_travel"),
        hold_tokens(priority="luck"),
        video_ingested(),
    ],
)
async def test_what_can_never_be_done_is_given_up(message: Message) -> None:
    """A dead letter is seen by somebody; a message that comes back for ever is not."""
    with pytest.raises(GiveUp):
        await Engine().hear(message)


async def test_one_jobs_hold_is_not_settled_for_another() -> None:
    """Nor another tenant's."""
    engine = Engine()
    await engine.hear(top_up(), hold_tokens())

    with pytest.raises(GiveUp, match="not a hold of job_2"):
        await engine.hear(settle_tokens(job_id=JobId("job_2")))
    with pytest.raises(GiveUp, match="tenant_id"):
        await engine.hear(hold_tokens(tenant_id=TenantId("tnt_2")))


async def test_a_task_of_the_same_id_with_another_cost_is_given_up() -> None:
    """Two truths about one task are for a person to sort out."""
    engine = Engine()
    await engine.hear(task_succeeded(cost_microtokens=5))

    with pytest.raises(GiveUp, match="different amount"):
        await engine.hear(task_succeeded(cost_microtokens=6))


async def test_a_ledger_out_of_reach_is_asked_again_later() -> None:
    """Nothing is lost while the database restarts."""

    class Unreachable(MemoryLedger):
        async def standing(self, tenant_id: TenantId, hold_id: str) -> Standing:
            raise LedgerUnavailableError("no connection")

    engine = EconomicEngine(ledger=Unreachable(), book=PRICES, clock=FrozenClock())

    with pytest.raises(TryLater):
        await engine.receive(hold_tokens())


async def test_what_moves_no_money_is_heard_in_silence() -> None:
    """Statistics come from the telemetry, where the same event would count twice."""
    engine = Engine()

    assert await engine.hear(quality_evaluated()) == []
    assert await engine.hear(task_failed(cost_microtokens=0)) == []
    assert engine.ledger.entries == []


async def test_the_statement_of_a_job_adds_up() -> None:
    """What a person reads, and what the demo prints."""
    engine = Engine()
    await engine.hear(top_up(), hold_tokens(), task_succeeded(), exploration(), settle_tokens())
    question = ReadStatement(tenant_id=TENANT, job_id=JOB)
    statement = await engine.answers.answer(question)
    absent = await engine.answers.answer(ReadStatement(tenant_id=TenantId("tnt_2"), job_id=JOB))

    assert isinstance(statement, Statement)
    assert [line.kind for line in statement.lines] == ["pending", "transfer", "transfer", "post"]
    assert statement.lines[2].debit == "platform:exploration"
    assert statement.account is not None
    assert statement.account.charged_microtokens == 12_000_000
    assert statement.account.cost_by_task == {
        TaskId("task_1"): 1_500_000,
        TaskId("task_x"): 1_500_000,
    }
    assert statement.account.marginality == 0.75
    assert absent == Statement(lines=())


async def test_the_other_questions_are_answered() -> None:
    """Wallet, audit, margins; and a whole tenant's lines."""
    engine = Engine()
    await engine.hear(top_up(), hold_tokens())
    wallet = await engine.answers.answer(ReadWallet(tenant_id=TENANT))
    verdict = await engine.answers.answer(VerifyLedger())
    lines = await engine.answers.answer(ReadStatement(tenant_id=ANY_TENANT))
    margins = await engine.answers.answer(ReadMargins())

    assert isinstance(wallet, Wallet)
    assert (wallet.available_microtokens, wallet.held_microtokens) == (8_000_000, 12_000_000)
    assert isinstance(verdict, LedgerVerdict)
    assert (verdict.entries, verdict.problems) == (2, ())
    assert len(verdict.checked) == 8
    assert isinstance(lines, Statement)
    assert [line.transfer_id for line in lines.lines] == ["topup:t1", "hold:h1"]
    assert isinstance(margins, Margins)
    with pytest.raises(TypeError, match="ListJobs"):
        await engine.answers.answer(ListJobs(tenant_id=TENANT))


def _essence(said: Sequence[Said]) -> list[object]:
    """Return what must be the same when a message is heard again: all but the time."""
    return [
        (type(each), each.event_id, getattr(each, "payload", None), getattr(each, "samples", None))
        for each in said
        if isinstance(each, Message)
    ]


@pytest.mark.parametrize(
    ("failure_class", "bearer"),
    [("HOST_LOST", "platform"), ("WORKFLOW_BUG", "provider"), ("BAD_INPUT", "user")],
)
async def test_a_failed_render_is_booked_with_who_bears_it(failure_class: str, bearer: str) -> None:
    """The sum is the fleet's cost either way; the line says whose fault it was."""
    engine = Engine()
    failed = task_failed(cost_microtokens=300_000)
    payload = structs.replace(failed.payload, failure_class=FailureClass(failure_class))
    await engine.hear(structs.replace(failed, payload=payload))
    statement = await engine.answers.answer(ReadStatement(tenant_id=TENANT, job_id=JOB))

    assert isinstance(statement, Statement)
    [line] = statement.lines
    assert line.amount_microtokens == 300_000
    assert line.memo == (
        f"render, default, failed: {failure_class}, on the account of the {bearer}"
    )
    assert await engine.sound()
