"""Ordering, finding and cancelling jobs over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from schemas import asks
from schemas.base import JobId, TaskId, TenantId
from schemas.commands import CancelJob, StartJob
from schemas.jobs import Candidate, JobState
from schemas.money import LedgerLine
from tests.builders import (
    content_analyzed,
    execution_task,
    quality_evaluated,
    selection,
    task_succeeded,
    video,
)
from tests.integration.gateway.world import ADA, ANN, BOB, CLIP, OPS, World, bearer


async def order(
    client: httpx.AsyncClient, video_id: str, *, key: str = "", token: str = ANN, **changes: Any
) -> httpx.Response:
    """Order a colour correction."""
    body: dict[str, Any] = {"video_id": video_id, "effect_type": "color_correction"} | changes
    headers = bearer(token) | ({"Idempotency-Key": key} if key else {})
    return await client.post("/v1/jobs", json=body, headers=headers)


async def ordered(world: World, client: httpx.AsyncClient) -> JobId:
    """Upload and order; return the job."""
    answer = await order(client, await world.upload(client))
    assert answer.status_code == 202, answer.text
    return JobId(answer.json()["job_id"])


def give_candidates(world: World, job_id: JobId) -> None:
    """Let the job have a scored candidate, a shadow one, and a winner."""
    shadow = execution_task("task_2", "fx-new-v1", role="shadow")
    world.bus.change(
        job_id,
        state=JobState.AWAITING_APPROVAL,
        video=video(),
        analysis=content_analyzed().payload.analysis,
        selection=selection(),
        held_microtokens=3_000_000,
        candidates={
            TaskId("task_1"): Candidate(
                task=execution_task(),
                result=task_succeeded().payload,
                evaluation=quality_evaluated().payload,
            ),
            TaskId("task_2"): Candidate(
                task=shadow, result=task_succeeded(task_id="task_2").payload
            ),
        },
    )


async def test_an_order_is_published_once_and_can_be_looked_at(tmp_path: Path) -> None:
    """The command carries everything the orchestrator needs, and the tenant of the token."""
    world = World(tmp_path)
    async with world.inside() as client:
        video_id = await world.upload(client)
        answer = await order(client, video_id, wish="warm evening", budget_tokens=5)
        shown = await client.get(answer.json()["links"]["self"])

    [command] = world.bus.said.values()
    assert isinstance(command, StartJob)
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["links"]["self"]
    assert command.payload.job_id == command.correlation_id == answer.json()["job_id"]
    assert (command.tenant_id, command.payload.user_id) == ("tnt_1", "usr_ann")
    assert command.payload.source_uri == f"s3://intake/raw/tnt_1/{video_id}"
    assert (shown.json()["state"], shown.json()["wish"]) == ("INGESTED", "warm evening")


async def test_a_job_can_be_looked_at_before_the_orchestrator_took_it(tmp_path: Path) -> None:
    """A client that orders and looks at once must not be told that its job does not exist."""
    world = World(tmp_path)
    world.bus.takes_orders = False
    async with world.inside() as client:
        job_id = await ordered(world, client)
        own = await client.get(f"/v1/jobs/{job_id}")
        other = await client.get(f"/v1/jobs/{job_id}", headers=bearer(BOB))

    assert (own.status_code, own.json()["state"]) == (200, "INGESTED")
    assert other.status_code == 404


@pytest.mark.parametrize("taken", [True, False])
async def test_a_repeated_order_is_the_same_job(tmp_path: Path, *, taken: bool) -> None:
    """A client that lost the answer sends the order again, and pays once."""
    world = World(tmp_path)
    world.bus.takes_orders = taken
    async with world.inside() as client:
        video_id = await world.upload(client)
        first = await order(client, video_id, key="k1")
        again = await order(client, video_id, key="k1")
        other = await order(client, video_id, key="k2")

    assert first.json()["job_id"] == again.json()["job_id"] != other.json()["job_id"]
    assert again.status_code == 202
    assert len(world.bus.said) == 2


@pytest.mark.parametrize("taken", [True, False])
async def test_a_key_is_not_good_for_another_order(tmp_path: Path, *, taken: bool) -> None:
    """Otherwise the second order would silently be the first."""
    world = World(tmp_path)
    world.bus.takes_orders = taken
    async with world.inside() as client:
        video_id = await world.upload(client)
        await order(client, video_id, key="k1")
        answer = await order(client, video_id, key="k1", wish="colder")

    assert (answer.status_code, answer.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


async def test_two_tenants_may_use_the_same_key(tmp_path: Path) -> None:
    """A key of one tenant must tell the other nothing."""
    world = World(tmp_path)
    async with world.inside() as client:
        first = await order(client, await world.upload(client), key="k1")
        second = await order(client, await world.upload(client, BOB), key="k1", token=BOB)

    assert second.status_code == 202
    assert first.json()["job_id"] != second.json()["job_id"]


async def test_an_unknown_effect_is_refused_with_what_is_offered(tmp_path: Path) -> None:
    """The client need not guess."""
    world = World(tmp_path)
    async with world.inside() as client:
        answer = await order(client, await world.upload(client), effect_type="teleport")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "UNKNOWN_EFFECT")
    assert problem["offered"] == ["color_correction"]
    assert not world.bus.said


@pytest.mark.parametrize(
    ("providers", "code"),
    [
        (["fx-nobody-v1"], "UNKNOWN_PROVIDER"),
        (["fx-warm-grade-v1", "fx-nobody-v1"], "UNKNOWN_PROVIDER"),
        (["fx-other-v1"], "PROVIDER_DOES_NOT_OFFER"),
    ],
)
async def test_a_provider_that_cannot_do_it_is_refused_with_those_that_can(
    tmp_path: Path, providers: list[str], code: str
) -> None:
    """A job with no candidate would fail minutes later."""
    world = World(tmp_path)
    async with world.inside() as client:
        answer = await order(client, await world.upload(client), providers=providers)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "fx-warm-grade-v1" in answer.json()["offered"]
    assert not world.bus.said


async def test_another_tenants_video_looks_like_an_absent_one(tmp_path: Path) -> None:
    """Nobody may spend tokens on somebody else's clip."""
    world = World(tmp_path)
    async with world.inside() as client:
        theirs = await order(client, await world.upload(client, BOB))
        absent = await order(client, "vid_absent")
        odd = await order(client, "../../etc/passwd")

    for answer in (theirs, absent, odd):
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_VIDEO")
    assert not world.bus.said


@pytest.mark.parametrize(
    "changes",
    [
        {"wish": "x" * 501},
        {"effect_type": "a.b"},
        {"effect_type": ""},
        {"user_preferences": {"priority": "luck"}},
        {"budget_tokens": 0},
        {"budget_tokens": 1.5},
        {"providers": ["fx.>"]},
        {"tenant_id": "tnt_2"},
        {"effect_subtype": None},
    ],
)
async def test_a_body_of_the_wrong_shape_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    """Each field is named in the problem, and a tenant in the body is no way in."""
    world = World(tmp_path)
    async with world.inside() as client:
        answer = await order(client, await world.upload(client), **changes)

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert answer.json()["errors"]
    assert not world.bus.said


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 20000])
async def test_a_body_that_is_no_order_is_refused(tmp_path: Path, body: bytes) -> None:
    """Nonsense is the client's fault, never ours."""
    async with World(tmp_path).inside() as client:
        answer = await client.post("/v1/jobs", content=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_without_end_is_refused(tmp_path: Path) -> None:
    """An order is small."""
    async with World(tmp_path).inside() as client:
        answer = await client.post("/v1/jobs", content=b" " * 70_000)

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_nothing_is_accepted_while_the_broker_is_away(tmp_path: Path) -> None:
    """An accepted order must be stored; the client hears when to try again."""
    world = World(tmp_path)
    async with world.inside() as client:
        video_id = await world.upload(client)
        world.bus.down = True
        away = await order(client, video_id, key="k1")
        world.bus.down = False
        back = await order(client, video_id, key="k1")

    assert (away.status_code, away.json()["code"]) == (503, "BUS_UNAVAILABLE")
    assert int(away.headers["retry-after"]) > 0
    assert back.status_code == 202


async def test_nothing_can_be_ordered_before_there_is_a_manifest(tmp_path: Path) -> None:
    """Every effect would look unknown; it is the platform that is not ready."""
    world = World(tmp_path)
    world.bus.routes = {}
    async with world.inside() as client:
        answer = await order(client, await world.upload(client))

    assert (answer.status_code, answer.json()["code"]) == (503, "ROUTING_NOT_READY")


async def test_a_user_sees_quality_and_time_and_an_admin_the_cost_too(tmp_path: Path) -> None:
    """What a render costs is the platform's business, and a shadow's result nobody's."""
    world = World(tmp_path)
    async with world.inside() as client:
        job_id = await ordered(world, client)
        give_candidates(world, job_id)
        user = (await client.get(f"/v1/jobs/{job_id}")).json()
        admin = (await client.get(f"/v1/jobs/{job_id}", headers=bearer(ADA))).json()

    [seen] = user["candidates"]
    assert seen["quality_vector"]["fidelity"] == 0.91
    assert (seen["state"], seen["duration_ms"]) == ("scored", 2900)
    assert seen["cost_microtokens"] is user["selection"]["cost_tokens"] is None
    assert [one["task_id"] for one in admin["candidates"]] == ["task_1", "task_2"]
    assert admin["candidates"][0]["cost_microtokens"] == 1_500_000
    assert admin["selection"]["cost_tokens"] == 2


async def test_another_tenants_job_looks_like_an_absent_one(tmp_path: Path) -> None:
    """In every place a job can be named."""
    world = World(tmp_path)
    places = ("", "/account", "/input/video", "/candidates/task_1/video")
    async with world.inside() as client:
        job_id = await ordered(world, client)
        give_candidates(world, job_id)
        for place in places:
            theirs = await client.get(f"/v1/jobs/{job_id}{place}", headers=bearer(BOB))
            absent = await client.get(f"/v1/jobs/job_absent{place}", headers=bearer(BOB))

            assert theirs.status_code == absent.status_code == 404
            assert theirs.text.replace(job_id, "job_absent") == absent.text
        cancel = await client.post(f"/v1/jobs/{job_id}/cancel", headers=bearer(BOB))
        operator = await client.get(f"/v1/jobs/{job_id}", headers=bearer(OPS))

    assert cancel.status_code == 404
    assert operator.status_code == 200


async def test_a_cancelled_job_is_cancelled_once(tmp_path: Path) -> None:
    """The second time there is nothing to do, and that is no error."""
    world = World(tmp_path)
    async with world.inside() as client:
        job_id = await ordered(world, client)
        first = await client.post(f"/v1/jobs/{job_id}/cancel", json={"reason": "wrong clip"})
        again = await client.post(f"/v1/jobs/{job_id}/cancel")

    [command] = [said for said in world.bus.said.values() if isinstance(said, CancelJob)]
    assert (first.status_code, again.status_code) == (202, 200)
    assert (command.payload.by, command.payload.reason) == ("usr_ann", "wrong clip")


async def test_a_job_that_ended_otherwise_cannot_be_cancelled(tmp_path: Path) -> None:
    """What is published is published."""
    world = World(tmp_path)
    async with world.inside() as client:
        job_id = await ordered(world, client)
        world.bus.change(job_id, state=JobState.COMPLETE)
        answer = await client.post(f"/v1/jobs/{job_id}/cancel")

    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_ENDED")


async def test_costs_and_margin_are_for_admins(tmp_path: Path) -> None:
    """A user's statement has the user's own lines and no other."""
    world = World(tmp_path)
    async with world.inside() as client:
        job_id = await ordered(world, client)
        world.bus.statements[job_id] = asks.Statement(
            lines=(
                line(job_id, "hold", "wallet:tnt_1", "platform:revenue"),
                line(job_id, "cost", "platform:costs", "provider:fx-warm-grade-v1"),
            ),
            account=asks.JobAccount(
                job_id=job_id,
                charged_microtokens=3_000_000,
                cost_microtokens=1_500_000,
                marginality=0.5,
            ),
        )
        user = (await client.get(f"/v1/jobs/{job_id}/account")).json()
        admin = (await client.get(f"/v1/jobs/{job_id}/account", headers=bearer(ADA))).json()

    assert user["charged_microtokens"] == admin["charged_microtokens"] == 3_000_000
    assert [one["kind"] for one in user["lines"]] == ["hold"]
    assert user["cost_microtokens"] is user["marginality"] is user["cost_by_task"] is None
    assert (admin["cost_microtokens"], admin["marginality"]) == (1_500_000, 0.5)
    assert len(admin["lines"]) == 2


async def test_job_media_is_streamed_to_its_owner(tmp_path: Path) -> None:
    """The normalised input and each finished candidate, but no shadow's."""
    world = World(tmp_path)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(CLIP)
    for uri in (video().normalized_uri, task_succeeded().payload.output_video_uri):
        await world.store.put_file(uri, clip, content_type="video/mp4")
    async with world.inside() as client:
        job_id = await ordered(world, client)
        give_candidates(world, job_id)
        given = await client.get(f"/v1/jobs/{job_id}/input/video")
        part = {"Range": "bytes=4-7"}
        made = await client.get(f"/v1/jobs/{job_id}/candidates/task_1/video", headers=part)
        shadow = await client.get(f"/v1/jobs/{job_id}/candidates/task_2/video")

    assert given.content == CLIP
    assert (made.status_code, made.content) == (206, b"ftyp")
    assert made.headers["cache-control"].startswith("private")
    assert shadow.status_code == 404


async def test_what_is_asked_of_a_module_comes_back(tmp_path: Path) -> None:
    """The simple reads, each with what its caller may see."""
    world = World(tmp_path)
    async with world.inside() as client:
        effects = await client.get("/v1/effects")
        mine = await client.get("/v1/providers")
        theirs = await client.get("/v1/providers", headers=bearer(ADA))
        wallet = await client.get("/v1/wallet?tenant=tnt_2")
        nobodys = await client.get("/v1/wallet", headers=bearer(OPS))
        named = await client.get("/v1/wallet?tenant=tnt_2", headers=bearer(OPS))
        notes = await client.get("/v1/notifications")
        pages = [await client.get(f"/v1/jobs?{query}") for query in ("limit=0", "before=a.b", "")]

    [effect] = effects.json()["effects"]
    assert effect["effect_type"] == "color_correction"
    assert "cost" not in effects.text
    assert mine.json()["providers"][0]["cost_model"] is None
    assert theirs.json()["providers"][0]["cost_model"]["gpu_type_required"] == "cpu"
    assert "graph" not in theirs.text
    assert wallet.json()["tenant_id"] == TenantId("tnt_1")
    assert (nobodys.status_code, named.json()["tenant_id"]) == (400, "tnt_2")
    assert notes.json() == {"notifications": []}
    assert [page.status_code for page in pages] == [400, 400, 200]


def line(job_id: JobId, kind: str, debit: str, credit: str) -> LedgerLine:
    """Return a ledger line."""
    return msgspec.convert(
        {
            "transfer_id": f"trf_{kind}",
            "kind": kind,
            "debit": debit,
            "credit": credit,
            "amount_microtokens": 1,
            "job_id": job_id,
            "tenant_id": "tnt_1",
            "at": "2026-03-01T12:00:00Z",
        },
        LedgerLine,
    )
