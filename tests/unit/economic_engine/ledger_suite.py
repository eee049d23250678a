"""What every ledger must do. The fake and the real one run the same tests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.economic_engine.core import Refusal, Standing
from actors.economic_engine.errors import HoldNotFoundError
from actors.economic_engine.ports import Ledger
from economics import ledger as rules
from economics.errors import LedgerConflictError
from economics.ledger import Kind, Transfer
from schemas.asks import ANY_TENANT
from schemas.base import JobId, ProviderId, TaskId, TenantId, UserId
from tests.builders import JOB, NOON, TENANT, USER

OTHER = TenantId("tnt_2")


def paid_in(amount: int, *, name: str = "t1", tenant_id: TenantId = TENANT) -> Transfer:
    """Return a top-up."""
    return rules.top_up(
        name=name, tenant_id=tenant_id, job_id=JOB, user_id=USER, amount=amount, at=NOON
    )


def hold(
    name: str = "h1",
    amount: int = 7,
    *,
    tenant_id: TenantId = TENANT,
    job_id: JobId = JOB,
    user_id: UserId = USER,
) -> Transfer:
    """Return a hold."""
    return rules.hold(
        name=name,
        tenant_id=tenant_id,
        job_id=job_id,
        user_id=user_id,
        effect_type="upscale",
        amount=amount,
        at=NOON,
    )


def booked(task: str, amount: int, *, role: str = "default", job_id: JobId = JOB) -> Transfer:
    """Return the booking of a task's cost."""
    return rules.booking(
        task_id=TaskId(task),
        provider_id=ProviderId("fx"),
        tenant_id=TENANT,
        job_id=job_id,
        effect_type="upscale",
        role=role,
        amount=amount,
        at=NOON,
    )


class LedgerSuite:
    """Inherit, and give a fixture ``ledger``."""

    async def test_a_hold_reserves_and_a_post_charges_it(self, ledger: Ledger) -> None:
        """Quote, hold, settle: the wallet shows each step."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold(amount=30), open_limit=9)
        held = await ledger.wallet(TENANT)
        await ledger.resolve(rules.settlement(hold(amount=30), task_id=TaskId("t"), at=NOON))
        spent = await ledger.wallet(TENANT)

        assert (held.available_microtokens, held.held_microtokens) == (70, 30)
        assert (spent.available_microtokens, spent.held_microtokens) == (70, 0)
        assert spent.spent_microtokens == 30
        assert (await ledger.verify()).problems == ()

    async def test_a_void_gives_everything_back(self, ledger: Ledger) -> None:
        """A job that did not complete costs its user nothing."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold(amount=30), open_limit=9)
        await ledger.resolve(rules.release(hold(amount=30), reason="rejected", at=NOON))
        wallet = await ledger.wallet(TENANT)

        assert (wallet.available_microtokens, wallet.spent_microtokens) == (100, 0)
        assert (await ledger.verify()).problems == ()

    async def test_a_partial_post_gives_the_remainder_back(self, ledger: Ledger) -> None:
        """A later price may be below the quote; never above."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold(amount=30), open_limit=9)
        post = rules.settlement(hold(amount=12), task_id=TaskId("t"), at=NOON)
        await ledger.resolve(post)
        wallet = await ledger.wallet(TENANT)

        assert (wallet.available_microtokens, wallet.spent_microtokens) == (88, 12)
        assert (await ledger.verify()).problems == ()

    async def test_only_the_first_resolution_counts(self, ledger: Ledger) -> None:
        """A settle and a cancel may race; the user is charged or refunded, not both."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold(), open_limit=9)
        void = rules.release(hold(), reason="cancelled", at=NOON)
        first = await ledger.resolve(void)
        second = await ledger.resolve(rules.settlement(hold(), task_id=TaskId("t"), at=NOON))

        assert second == first
        assert second.transfer.kind is Kind.VOID
        assert (await ledger.wallet(TENANT)).available_microtokens == 100

    async def test_a_hold_above_the_balance_is_refused_for_ever(self, ledger: Ledger) -> None:
        """Asked again after a top-up, the answer is the one that was given."""
        await ledger.write(paid_in(5))
        refused = await ledger.hold(hold(amount=7), open_limit=9)
        await ledger.write(paid_in(100, name="t2"))
        again = await ledger.hold(hold(amount=7), open_limit=9)

        assert refused.hold is None
        assert refused.refusal is not None
        assert refused.refusal.reason == "insufficient_balance"
        assert (refused.refusal.required, refused.refusal.available) == (7, 5)
        assert again == refused

    async def test_an_unknown_tenant_has_nothing(self, ledger: Ledger) -> None:
        """A wallet that was never paid into is empty, not an error."""
        refused = await ledger.hold(hold(), open_limit=9)

        assert refused.refusal is not None
        assert refused.refusal.available == 0
        assert (await ledger.wallet(TENANT)).available_microtokens == 0

    async def test_a_user_may_hold_only_so_often(self, ledger: Ledger) -> None:
        """One user's script must not take the whole fleet; a finished job frees a place."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold("h1"), open_limit=2)
        await ledger.hold(hold("h2"), open_limit=2)
        third = await ledger.hold(hold("h3"), open_limit=2)
        other = await ledger.hold(hold("h4", user_id=UserId("usr_2")), open_limit=2)
        await ledger.resolve(rules.release(hold("h1"), reason="", at=NOON))
        fifth = await ledger.hold(hold("h5"), open_limit=2)

        assert third.refusal is not None
        assert third.refusal.reason == "user_quota"
        assert other.hold is not None
        assert fifth.hold is not None

    async def test_asking_twice_changes_nothing(self, ledger: Ledger) -> None:
        """A message is delivered at least once, so a transfer is asked for at least once."""
        later = NOON + timedelta(minutes=1)
        for at in (NOON, later):
            await ledger.write(paid_in(100))
            await ledger.hold(hold(), open_limit=1)
            await ledger.write(booked("task_1", 3))
            await ledger.resolve(rules.settlement(hold(), task_id=TaskId("t"), at=at))

        assert len(await ledger.of_job(TENANT, JOB)) == 4
        assert (await ledger.wallet(TENANT)).available_microtokens == 93
        assert (await ledger.verify()).problems == ()

    async def test_another_transfer_under_a_known_id_is_a_conflict(self, ledger: Ledger) -> None:
        """It is a bug or an attack, and must not pass for a repetition."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold(amount=7), open_limit=9)

        with pytest.raises(LedgerConflictError, match="different amount"):
            await ledger.write(paid_in(101))
        with pytest.raises(LedgerConflictError, match="different amount"):
            await ledger.hold(hold(amount=8), open_limit=9)

    async def test_a_hold_of_another_tenant_is_a_conflict(self, ledger: Ledger) -> None:
        """Two tenants never meet in one hold."""
        await ledger.write(paid_in(100))
        await ledger.hold(hold(), open_limit=9)

        with pytest.raises(LedgerConflictError, match="tenant_id"):
            await ledger.standing(OTHER, "hold:h1")
        with pytest.raises(LedgerConflictError, match="tenant_id"):
            await ledger.hold(hold(tenant_id=OTHER), open_limit=9)

    async def test_nothing_resolves_a_hold_that_is_not_there(self, ledger: Ledger) -> None:
        """Charging without a hold would charge without a quote."""
        with pytest.raises(HoldNotFoundError, match="hold:h1"):
            await ledger.resolve(rules.settlement(hold(), task_id=TaskId("t"), at=NOON))

    async def test_a_refusal_stands_where_the_hold_would(self, ledger: Ledger) -> None:
        """A release that overtook its hold must keep the hold from opening."""
        await ledger.write(paid_in(100))
        refusal = Refusal(
            hold_id="hold:h1",
            tenant_id=TENANT,
            user_id=USER,
            reason="released",
            required=0,
            available=0,
            at=NOON,
        )
        await ledger.refuse(refusal)
        late = await ledger.hold(hold(), open_limit=9)

        assert late == Standing(refusal=refusal)
        assert (await ledger.wallet(TENANT)).held_microtokens == 0

    async def test_a_hold_that_was_made_cannot_be_refused_any_more(self, ledger: Ledger) -> None:
        """Whoever came first is right."""
        await ledger.write(paid_in(100))
        made = await ledger.hold(hold(), open_limit=9)
        refusal = Refusal(
            hold_id="hold:h1",
            tenant_id=TENANT,
            user_id=USER,
            reason="released",
            required=0,
            available=0,
            at=NOON,
        )

        assert await ledger.refuse(refusal) == made

    async def test_costs_are_booked_against_nobodys_wallet(self, ledger: Ledger) -> None:
        """A provider must be paid even when the tenant's wallet is empty."""
        await ledger.write(booked("task_1", 10**9))
        await ledger.write(booked("task_2", 5, role="exploration"))
        debits = [each.transfer.debit for each in await ledger.of_job(TENANT, JOB)]

        assert debits == ["platform:expense", "platform:exploration"]
        assert (await ledger.verify()).problems == ()

    async def test_a_tenant_sees_its_own_entries_only(self, ledger: Ledger) -> None:
        """The operator's view is asked for by name."""
        await ledger.write(paid_in(10))
        await ledger.write(paid_in(20, name="t2", tenant_id=OTHER))

        mine = await ledger.of_tenant(TENANT, limit=10)
        everybody = await ledger.of_tenant(ANY_TENANT, limit=10)

        assert [each.transfer.amount for each in mine] == [10]
        assert len(everybody) == 2
        assert len(await ledger.of_tenant(ANY_TENANT, limit=1)) == 1
        assert await ledger.of_job(TenantId("tnt_3"), JOB) == ()
        assert (await ledger.wallet(ANY_TENANT)).available_microtokens == 30
