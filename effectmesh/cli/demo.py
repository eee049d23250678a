"""One real clip through all 13 steps: start everything, be user and admin, tell the story, stop."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Final

import anyio
import msgspec
from rich.text import Text

from effectmesh import state
from effectmesh.cli.console import FAILED, USAGE, console, fail, print_json, run, settings
from effectmesh.cli.remote import check_effect, follow, upload
from effectmesh.client import Client, open_client
from effectmesh.clips import find_clip
from effectmesh.reading import Reader, reading
from effectmesh.settings import Settings
from effectmesh.story import Story, print_story
from effectmesh.up import NotReadyError, Stack, port_or_any, stack_up
from schemas.asks import JobFound, Statement
from schemas.jobs import ENDINGS, JobState
from schemas.routing import RoutingManifest

DEMO_POLICY_INTERVAL_S: Final = 1
"""A demo is over long before the quarter of an hour that the policy cycle takes by default."""
DEMO_WITHIN_S: Final = 300.0
LEARN_WITHIN_S: Final = 10.0
POLL_S: Final = 0.05


def play(*, clip: Path | None, effect: str, as_json: bool) -> None:
    """Run the demo; the exit status is the outcome."""
    chosen = clip or find_clip()
    if not chosen.is_file():
        fail(f"there is no file {chosen}", hint="give a video: make demo CLIP=path", status=USAGE)
    logging.basicConfig(level="WARNING", format="%(message)s")
    base = settings()
    adjusted = msgspec.structs.replace(
        base,
        # the published address stays true when the stack is up again later
        http_port=port_or_any(base.http_host, base.http_port),
        policy_interval_s=DEMO_POLICY_INTERVAL_S,
    )

    async def whole() -> int:
        started = time.monotonic()
        async with stack_up(adjusted) as stack:
            if not as_json:
                took = f"up in {time.monotonic() - started:.1f} s at {stack.gateway_url}"
                console.print(Text.assemble(("effectmesh ", "bold"), took))
            with anyio.move_on_after(DEMO_WITHIN_S) as patience:
                story = await _play(stack, adjusted, chosen, effect, quiet=as_json)
            if patience.cancelled_caught:
                raise NotReadyError(
                    f"the job did not end in {DEMO_WITHIN_S:g} s; see {adjusted.logs}, "
                    "and: effectmesh jobs"
                )
        if as_json:
            print_json(story)
        else:
            print_story(console, story)
            took = (
                f"\nthe whole demo took {time.monotonic() - started:.1f} s; everything is stopped"
            )
            console.print(Text(took, style="dim"))
            console.print(Text(f"again: effectmesh trace {story.job.order.job_id}", style="dim"))
        return 0 if story.job.state is JobState.COMPLETE else FAILED

    raise SystemExit(run(whole))


async def _play(stack: Stack, chosen: Settings, clip: Path, effect: str, *, quiet: bool) -> Story:
    keys = state.tokens(chosen)
    async with (
        open_client(stack.gateway_url, keys.user) as user,
        open_client(stack.gateway_url, keys.admin) as admin,
        reading(chosen) as reader,
    ):
        before = await reader.manifest()
        await check_effect(user, effect)
        video_id = await upload(user, clip, quiet=quiet)
        ordered = await user.post("/v1/jobs", {"video_id": video_id, "effect_type": effect})
        job_id = ordered["job_id"]
        if not quiet:
            console.print(f"ordered {effect} as {job_id}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_approve, admin, job_id)
            await follow(user, job_id, quiet=quiet)
            tasks.cancel_scope.cancel()
        found = await _ended(reader, job_id)
        after = await _learned(reader, before, found)
        return await _story(reader, chosen, clip, found, before, after)


async def _approve(admin: Client, job_id: str) -> None:
    """Be the admin: look at the queue until the job is in it, and say yes."""
    while True:
        waiting = await admin.get("/v1/approvals")
        if any(each["job_id"] == job_id for each in waiting["approvals"]):
            await admin.post(f"/v1/jobs/{job_id}/approve")
            return
        await anyio.sleep(POLL_S)


async def _ended(reader: Reader, job_id: str) -> JobFound:
    """Return the job once the index has its ending too."""
    while True:
        found = await reader.job(job_id)
        if found.job is not None and found.job.state in ENDINGS:
            return found
        await anyio.sleep(POLL_S)


async def _learned(
    reader: Reader, before: RoutingManifest | None, found: JobFound
) -> RoutingManifest | None:
    """Return the manifest that saw every candidate of this job."""
    job = found.job
    effect = job.order.effect_type if job else ""
    seen = _samples(before, effect) + (len(job.candidates) if job else 0)
    after = before
    with anyio.move_on_after(LEARN_WITHIN_S):
        while _samples(after, effect) < seen:
            await anyio.sleep(POLL_S)
            after = await reader.manifest()
    return after


def _samples(manifest: RoutingManifest | None, effect: str) -> int:
    route = manifest.effects.get(effect) if manifest else None
    return sum(each.samples for each in route.providers) if route else 0


async def _story(
    reader: Reader,
    chosen: Settings,
    clip: Path,
    found: JobFound,
    before: RoutingManifest | None,
    after: RoutingManifest | None,
) -> Story:
    job = found.job
    assert job is not None
    statement: Statement = await reader.statement(job.order.tenant_id, job.order.job_id)
    path = ""
    if job.published and job.published.output_uri:
        path = str(chosen.media / job.published.output_uri.removeprefix("s3://"))
    return Story(
        clip=clip.name,
        job=job,
        events=await reader.events(job.order.job_id),
        statement=statement,
        published_path=path,
        before=before,
        after=after,
    )
