"""Approvals and money: who may, once, and what is said on the bus."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.commands import DecideApproval, TopUpWallet
from tests.integration.gateway.world import ADA, ANN, BOB, OPS, OTHER, World, bearer


async def test_an_approval_is_passed_on_once(tmp_path: Path) -> None:
    """A double click publishes one effect."""
    world = World(tmp_path)
    job_id = world.awaits_approval()
    async with world.inside() as client:
        queue = await client.get("/v1/approvals", headers=bearer(ADA))
        first = await client.post(f"/v1/jobs/{job_id}/approve", headers=bearer(ADA))
        again = await client.post(f"/v1/jobs/{job_id}/approve", headers=bearer(ADA))
        after = await client.get("/v1/approvals", headers=bearer(ADA))

    [command] = world.bus.said.values()
    assert isinstance(command, DecideApproval)
    assert (command.tenant_id, command.correlation_id) == ("tnt_1", job_id)
    assert (command.payload.decided_by, command.payload.approve) == ("usr_ada", True)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["state"] == "approved"
    assert [one["job_id"] for one in queue.json()["approvals"]] == [job_id]
    assert after.json()["approvals"] == []


async def test_a_decision_cannot_be_turned_round(tmp_path: Path) -> None:
    """Money and the gallery already followed it."""
    world = World(tmp_path)
    job_id = world.awaits_approval()
    async with world.inside() as client:
        await client.post(f"/v1/jobs/{job_id}/approve", headers=bearer(ADA))
        answer = await client.post(
            f"/v1/jobs/{job_id}/reject", headers=bearer(ADA), json={"reason": "too dark"}
        )

    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_DECIDED")
    assert answer.json()["state"] == "approved"
    assert len(world.bus.said) == 1


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "   "}])
async def test_a_rejection_needs_a_reason(tmp_path: Path, body: dict[str, str] | None) -> None:
    """Its user reads it."""
    world = World(tmp_path)
    job_id = world.awaits_approval()
    async with world.inside() as client:
        answer = await client.post(f"/v1/jobs/{job_id}/reject", headers=bearer(ADA), json=body)

    assert answer.status_code == 400
    assert not world.bus.said


async def test_a_rejection_carries_its_reason(tmp_path: Path) -> None:
    """In the admin's words."""
    world = World(tmp_path)
    job_id = world.awaits_approval()
    async with world.inside() as client:
        answer = await client.post(
            f"/v1/jobs/{job_id}/reject", headers=bearer(ADA), json={"reason": "too dark"}
        )

    [command] = world.bus.said.values()
    assert isinstance(command, DecideApproval)
    assert answer.status_code == 202
    assert (command.payload.approve, command.payload.reason) == (False, "too dark")


async def test_only_an_admin_of_the_tenant_or_the_operator_decides(tmp_path: Path) -> None:
    """A user cannot publish; an admin of one tenant does not see another's queue."""
    world = World(tmp_path)
    theirs = world.awaits_approval("job_2", OTHER)
    async with world.inside() as client:
        user = await client.post(f"/v1/jobs/{theirs}/approve", headers=bearer(BOB))
        other = await client.post(f"/v1/jobs/{theirs}/approve", headers=bearer(ADA))
        listed = await client.get("/v1/approvals", headers=bearer(ADA))
        operator = await client.post(f"/v1/jobs/{theirs}/approve", headers=bearer(OPS))

    [command] = world.bus.said.values()
    assert (user.status_code, user.json()["code"]) == (403, "ADMIN_ONLY")
    assert (other.status_code, listed.json()["approvals"]) == (404, [])
    assert operator.status_code == 202
    assert command.tenant_id == OTHER


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/admin/margins"),
        ("GET", "/v1/admin/ledger/verify"),
        ("POST", "/v1/admin/wallets/tnt_1/topup"),
    ],
)
async def test_the_platforms_money_is_the_operators(tmp_path: Path, method: str, path: str) -> None:
    """It is about every tenant; an admin of one may neither see it nor make tokens."""
    body = {"amount_microtokens": 5, "topup_id": "t1"} if method == "POST" else None
    async with World(tmp_path).inside() as client:
        answers = [
            await client.request(method, path, headers=bearer(token), json=body)
            for token in (ANN, ADA, OPS)
        ]

    assert [answer.status_code for answer in answers[:2]] == [403, 403]
    assert answers[2].is_success


async def test_a_repeated_top_up_is_the_same_message(tmp_path: Path) -> None:
    """A retry must not pay twice."""
    world = World(tmp_path)
    body = {"amount_microtokens": 7_000_000, "topup_id": "invoice-1"}
    async with world.inside() as client:
        for _ in range(2):
            await client.post("/v1/admin/wallets/tnt_1/topup", headers=bearer(OPS), json=body)

    [command] = world.bus.said.values()
    assert isinstance(command, TopUpWallet)
    assert command.tenant_id == "tnt_1"
    assert command.payload.amount_microtokens == 7_000_000


@pytest.mark.parametrize("tenant", ["*", "a.b", "%3E"])
@pytest.mark.parametrize("amount", [5, 0, -5])
async def test_a_top_up_that_makes_no_sense_is_refused(
    tmp_path: Path, tenant: str, amount: int
) -> None:
    """No wallet of everybody, and no payment that takes."""
    world = World(tmp_path)
    body = {"amount_microtokens": amount, "topup_id": "t1"}
    async with world.inside() as client:
        answer = await client.post(
            f"/v1/admin/wallets/{tenant}/topup", headers=bearer(OPS), json=body
        )

    assert answer.status_code in (400, 422)
    assert not world.bus.said
