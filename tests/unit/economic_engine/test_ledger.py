"""The ledger's rules over random histories, and what the audit makes of broken ones."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.economic_engine.memory import MemoryLedger
from economics import ledger as rules
from economics.audit import Audit, Head
from economics.ledger import Change, Entry, Transfer, apply, changes_of, sealed
from schemas.asks import LedgerVerdict
from schemas.base import JobId, ProviderId, TaskId
from tests.builders import JOB, NOON, TENANT, USER

WALLET = rules.wallet_of(TENANT)


def paid_in(amount: int, name: str = "t") -> Transfer:
    """Return a top-up."""
    return rules.top_up(
        name=name, tenant_id=TENANT, job_id=JOB, user_id=USER, amount=amount, at=NOON
    )


def hold(name: str, amount: int) -> Transfer:
    """Return a hold."""
    return rules.hold(
        name=name,
        tenant_id=TENANT,
        job_id=JobId(f"job_{name}"),
        user_id=USER,
        effect_type="upscale",
        amount=amount,
        at=NOON,
    )


def audited(*transfers: Transfer, resolves: dict[str, Transfer] | None = None) -> LedgerVerdict:
    """Write a chain of anything, legal or not, with stored balances that agree, and audit it."""
    audit, balances = Audit(), dict[str, Change]()
    entry: Entry | None = None
    for transfer in transfers:
        entry = sealed(
            transfer,
            sequence=entry.sequence + 1 if entry else 1,
            previous=entry.seal if entry else "",
        )
        held = (resolves or {}).get(transfer.id)
        apply(balances, changes_of(transfer, held))
        audit.take(entry)
    assert entry is not None
    head = Head(tenant_id=TENANT, length=entry.sequence, seal=entry.seal)
    return audit.close(balances=balances.values(), heads=[head])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pay", "hold", "settle", "release", "cost"]),
            st.integers(min_value=0, max_value=4),
            st.integers(min_value=1, max_value=60),
        ),
        max_size=60,
    )
)
def test_no_history_breaks_a_rule(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is asked, in whatever order and however often, the audit finds nothing."""
    asyncio.run(_history(steps))


async def _history(steps: list[tuple[str, int, int]]) -> None:
    ledger = MemoryLedger()
    paid = 0
    for number, (what, which, amount) in enumerate(steps):
        standing = await ledger.standing(TENANT, f"hold:{which}")
        if what == "pay":
            await ledger.write(paid_in(amount, name=str(number)))
            paid += amount
        elif what == "cost":
            await ledger.write(
                rules.booking(
                    task_id=TaskId(f"task_{number}"),
                    provider_id=ProviderId("fx"),
                    tenant_id=TENANT,
                    job_id=JOB,
                    effect_type="upscale",
                    role="default",
                    amount=amount,
                    at=NOON,
                )
            )
        elif what == "hold" and not standing.hold:
            await ledger.hold(hold(str(which), amount), open_limit=3)
        elif what == "settle" and standing.hold:
            held = standing.hold.transfer
            await ledger.resolve(rules.settlement(held, task_id=TaskId("t"), at=NOON))
        elif what == "release" and standing.hold:
            await ledger.resolve(rules.release(standing.hold.transfer, reason="", at=NOON))
    wallet = await ledger.wallet(TENANT)

    assert (await ledger.verify()).problems == ()
    assert wallet.available_microtokens >= 0
    assert wallet.available_microtokens + wallet.held_microtokens + wallet.spent_microtokens == paid


def test_an_overdraft_is_found() -> None:
    """Even when the stored balance agrees with the entries."""
    assert any("overdraws" in each for each in audited(paid_in(5), hold("h", 6)).problems)


def test_a_charge_above_the_hold_is_found() -> None:
    """A price is never above its quote."""
    held = hold("h", 6)
    post = replace(rules.settlement(held, task_id=TaskId("t"), at=NOON), amount=7)
    verdict = audited(paid_in(50), held, post, resolves={post.id: held})

    assert any("takes 7 of the 6 held" in each for each in verdict.problems)


def test_a_second_resolution_is_found() -> None:
    """Charged and refunded is a gift."""
    held = hold("h", 6)
    post = rules.settlement(held, task_id=TaskId("t"), at=NOON)
    void = rules.release(held, reason="", at=NOON)
    verdict = audited(paid_in(50), held, post, void, resolves={post.id: held})

    assert any("a second time" in each for each in verdict.problems)


def test_a_repeated_id_and_a_transfer_of_nothing_are_found() -> None:
    """What the store's own constraints forbid is checked all the same."""
    verdict = audited(paid_in(5), paid_in(5), replace(paid_in(1, "u"), amount=0))

    assert any("is there twice" in each for each in verdict.problems)
    assert any("moves 0" in each for each in verdict.problems)


def test_a_seal_covers_every_field() -> None:
    """A field that is not sealed can be changed unseen."""
    transfer = hold("h", 6)
    seal = rules.seal_of(transfer, sequence=1, previous="")
    others: dict[str, object] = {
        "kind": rules.Kind.VOID,
        "amount": 7,
        "at": NOON + timedelta(microseconds=1),
    }
    for field in Transfer.__struct_fields__:
        other = others.get(field, "another")
        changed = replace(transfer, **{field: other})

        assert rules.seal_of(changed, sequence=1, previous="") != seal, field
    assert rules.seal_of(transfer, sequence=2, previous="") != seal
    assert rules.seal_of(transfer, sequence=1, previous="y") != seal
