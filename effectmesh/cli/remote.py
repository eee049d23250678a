"""Commands that talk to a running gateway."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from effectmesh import state
from effectmesh.cli.console import (
    FAILED,
    INTERRUPTED,
    USAGE,
    console,
    fail,
    print_json,
    run,
    settings,
)
from effectmesh.client import Client, open_client

COMPLETE: Final = "COMPLETE"


def submit(*, clip: Path, order: dict[str, Any], watch: bool, as_json: bool) -> None:
    """Upload a clip and order an effect."""
    if not clip.is_file():
        fail(f"there is no file {clip}", hint="give the path of a video", status=USAGE)
    target = the_target()

    async def send() -> int:
        async with open_client(target.url, target.user) as client:
            await check_effect(client, order["effect_type"])
            video_id = await upload(client, clip, quiet=as_json)
            ordered = await client.post("/v1/jobs", {**order, "video_id": video_id})
            if as_json and not watch:
                print_json(ordered)
                return 0
            job_id = ordered["job_id"]
            if not as_json:
                console.print(f"ordered {job_id}")
            if not watch:
                console.print(f"follow it: effectmesh watch {job_id}")
                return 0
            ended = await follow(client, job_id, quiet=as_json)
            if as_json:
                print_json(await client.get(f"/v1/jobs/{job_id}"))
            return 0 if ended == COMPLETE else FAILED

    raise SystemExit(_leaving(send))


def watch(job_id: str) -> None:
    """Follow a job."""
    target = the_target()

    async def look() -> int:
        async with open_client(target.url, target.user) as client:
            return 0 if await follow(client, job_id, quiet=False) == COMPLETE else FAILED

    raise SystemExit(_leaving(look))


def decide(job_id: str, *, approve: bool, reason: str, as_json: bool) -> None:
    """Approve or reject a result."""
    target = the_target()

    async def send() -> None:
        async with open_client(target.url, target.admin) as client:
            verb = "approve" if approve else "reject"
            body = {} if approve else {"reason": reason}
            answer = await client.post(f"/v1/jobs/{job_id}/{verb}", body)
        if as_json:
            print_json(answer)
        else:
            console.print(f"{job_id} {verb}{'d' if approve else 'ed'}")

    run(send)


def cancel(job_id: str, *, reason: str, as_json: bool) -> None:
    """Stop a job."""
    target = the_target()

    async def send() -> None:
        async with open_client(target.url, target.user) as client:
            answer = await client.post(f"/v1/jobs/{job_id}/cancel", {"reason": reason})
        if as_json:
            print_json(answer)
        else:
            console.print(f"{job_id} is being cancelled")

    run(send)


async def check_effect(client: Client, effect: str) -> None:
    """End before anything is uploaded when nobody offers the effect."""
    offered = [each["effect_type"] for each in (await client.get("/v1/effects"))["effects"]]
    if effect not in offered:
        near = difflib.get_close_matches(effect, offered, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        fail(f"the effect {effect!r} is not offered", hint=f"{guess}one of: {', '.join(offered)}")


async def upload(client: Client, clip: Path, *, quiet: bool) -> str:
    """Upload with a bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task(f"uploading {clip.name}", total=None)
        return await client.upload(
            clip, told=lambda there, whole: bar.update(task, completed=there, total=whole)
        )


async def follow(client: Client, job_id: str, *, quiet: bool) -> str:
    """Show a job live; return the state it ended in."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    shown = ""
    with Progress(*columns, console=console, disable=quiet, transient=True) as bars:
        tasks: dict[str, Any] = {}
        async for frame in client.follow(job_id):
            data = frame.get("data") or {}
            if frame["type"] == "progress":
                _draw(bars, tasks, data)
                continue
            now = data.get("state") or data.get("stage") or ""
            if now and now != shown:
                shown = now
                if not quiet:
                    _say(bars, now, str(data.get("detail") or ""), job_id)
    return shown


def _say(bars: Progress, state: str, detail: str, job_id: str) -> None:
    bars.console.print(f"  {state.lower():<18} {detail}".rstrip())
    if state == "AWAITING_APPROVAL":
        bars.console.print(f"  {'':<18} effectmesh approve {job_id}")


def _draw(bars: Progress, tasks: dict[str, Any], line: dict[str, Any]) -> None:
    key = line.get("task_id") or line.get("stage") or ""
    if key not in tasks:
        name = line.get("provider_id") or line.get("stage") or ""
        tasks[key] = bars.add_task(f"  {name}", total=1.0)
    bars.update(tasks[key], completed=line.get("percent") or 0.0)


class Target(NamedTuple):
    """Which gateway, and as whom."""

    url: str
    user: str
    admin: str


def the_target() -> Target:
    """Return the stack of this home, or the gateway the settings name; end without either."""
    found = target_if_any()
    if found is None:
        fail(
            "effectmesh is not running",
            hint="effectmesh up, in another terminal; or name one in EFFECTMESH_GATEWAY_URL",
        )
    return found


def target_if_any() -> Target | None:
    """Return the stack of this home, the gateway the settings name, or nothing."""
    chosen = settings()
    now = state.running(chosen)
    url = now.gateway_url if now else chosen.gateway_url
    if not url:
        return None
    if chosen.token:
        return Target(url, chosen.token, chosen.token)
    local = state.tokens(chosen)
    return Target(url, local.user, local.admin)


def _leaving(main: Any) -> int:
    try:
        return int(run(main))
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            console.print("the job goes on; see it again: effectmesh jobs")
        raise
