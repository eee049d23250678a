"""Commands that start or read a stack on this machine."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from rich.table import Column, Table
from rich.text import Text

from actors.runtime.spans import root_of
from effectmesh import state
from effectmesh.cli.console import (
    FAILED,
    console,
    errors,
    fail,
    print_json,
    run,
    run_reading,
    settings,
)
from effectmesh.embedded.folders import is_held, own_folder
from effectmesh.reading import reading
from effectmesh.settings import Settings
from effectmesh.story import WIDE, steps_table
from effectmesh.telling import tokens
from schemas.base import JobId, TenantId, UserId

STOP_WITHIN_S: Final = 60.0
POLL_S: Final = 0.1
ROLES: Final = ("user", "admin")


def up() -> None:
    """Run the stack until a signal."""
    from effectmesh.up import stack_up

    chosen = settings()
    logging.basicConfig(level="WARNING", format="%(message)s")

    async def stay() -> None:
        async with AsyncExitStack() as opened:
            with console.status("starting ..."):
                stack = await opened.enter_async_context(stack_up(chosen))
            console.print(Text.assemble(("effectmesh is up: ", "bold green"), stack.gateway_url))
            console.print(f"  sign in {sign_in_url(chosen, stack.gateway_url)}", soft_wrap=True)
            console.print(f"  state   {chosen.home}", soft_wrap=True)
            console.print(f"  logs    {chosen.logs}", soft_wrap=True)
            console.print("  try     effectmesh submit CLIP --effect color_correction --watch")
            console.print("  stop    Ctrl-C, or: effectmesh down")
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    break
            console.print("stopping ...")

    run(stay)


def sign_in_url(chosen: Settings, gateway_url: str) -> str:
    """Return the page's address with the local user's token in the part no server sees."""
    return f"{gateway_url}/#token={state.tokens(chosen).user}"


def status(job_id: str, *, as_json: bool) -> None:
    """Show the stack, or one job."""
    chosen = settings()
    if job_id:
        _job_status(job_id, as_json=as_json)
        return
    now = state.running(chosen)
    if as_json:
        shown = {"running": now is not None, "home": str(chosen.home)}
        if now:
            shown |= {"pid": now.pid, "gateway_url": now.gateway_url, "children": now.children}
        print_json(shown)
    elif now is None:
        console.print(f"not running; state in {chosen.home}; start it: effectmesh up")
    else:
        console.print(f"up at {now.gateway_url} (pid {now.pid})")
        for name, pid in now.children.items():
            console.print(f"  {name:<12} pid {pid}")


def _job_status(job_id: str, *, as_json: bool) -> None:
    async def look() -> None:
        async with reading(settings()) as reader:
            found = await reader.job(job_id)
        if found.job is None:
            fail(f"there is no job {job_id}", hint="effectmesh jobs lists them")
        job = found.job
        if as_json:
            print_json(job)
            return
        console.print(f"{job.order.job_id}  {job.order.effect_type}  {job.state}")
        if job.reason:
            console.print(f"  reason   {job.code} {job.reason}".rstrip(), soft_wrap=True)
        for each in job.candidates.values():
            outcome = "rendering"
            if each.failure:
                outcome = f"failed: {each.failure.error_code}"
            elif each.result:
                outcome = "rendered"
            if each.evaluation:
                outcome = f"composite {each.evaluation.composite_score:.3f}"
            console.print(f"  {each.task.provider_id:<24} {each.task.role:<12} {outcome}")
        if job.selection:
            console.print(f"  {job.selection.comparison_summary}", soft_wrap=True)
        console.print(f"  price {tokens(job.price_microtokens)}, ", end="")
        console.print(f"charged {tokens(job.charged_microtokens)} tokens")
        if job.published:
            console.print(f"  {job.published.gallery_url}", soft_wrap=True)

    run_reading(look)


def jobs(limit: int, *, as_json: bool) -> None:
    """List the newest jobs."""

    async def look() -> None:
        async with reading(settings()) as reader:
            found = await reader.jobs(limit=limit)
        if as_json:
            print_json(found)
            return
        if not found:
            console.print(
                "no jobs yet; order one: effectmesh submit CLIP --effect color_correction"
            )
            return
        whole = (Column(name, no_wrap=True) for name in ("job", "state", "ordered"))
        table = Table(*whole, Column("effect", overflow="fold"), box=None)
        table.add_column("charged", justify="right")
        table.add_column("reason")
        for each in found:
            ordered = each.created_at.strftime("%m-%d %H:%M:%S")
            charged = tokens(each.charged_microtokens)
            reason = Text(each.reason, overflow="ellipsis", no_wrap=True)
            table.add_row(each.job_id, each.state, ordered, each.effect_type, charged, reason)
        console.print(table)

    run_reading(look)


def trace(job_id: str, *, as_json: bool) -> None:
    """Show every event of a job."""

    async def look() -> None:
        async with reading(settings()) as reader:
            events = await reader.events(job_id)
        if not events:
            fail(f"there are no events of {job_id}", hint="effectmesh jobs lists the jobs")
        if as_json:
            print_json(events)
            return
        console.print(steps_table(events, wide=console.width >= WIDE))
        if settings().otlp_endpoint:
            console.print(Text(f"trace id: {root_of(JobId(job_id)).trace_id}", style="dim"))

    run_reading(look)


def verify(*, as_json: bool) -> None:
    """Add the ledger up."""

    async def look() -> int:
        async with reading(settings()) as reader:
            verdict = await reader.ledger.verify()
        if as_json:
            print_json(verdict)
        else:
            counts = f"{verdict.entries} transfers, {verdict.accounts} accounts"
            for rule in verdict.checked:
                console.print(f"  checked  {rule}", soft_wrap=True)
            for problem in verdict.problems:
                errors.print(f"  broken   {problem}", style="red")
            ok = "the ledger is sound" if not verdict.problems else "the ledger is broken"
            console.print(f"{ok}: {counts}")
        return FAILED if verdict.problems else 0

    raise SystemExit(run_reading(look))


def doctor(*, as_json: bool) -> None:
    """Check this machine."""
    from effectmesh.doctor import run_checks
    from effectmesh.servers import server_settings

    chosen = settings()
    checks = run_checks(server_settings(chosen), ports=(chosen.http_port,))
    if as_json:
        print_json(checks)
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        for check in checks:
            mark = (f"{check.status:<5}", colours.get(check.status, ""))
            console.print(Text.assemble(mark, f"{check.name:<14} {check.detail}"), soft_wrap=True)
            if check.fix and check.status != "ok":
                console.print(f"      fix: {check.fix}", soft_wrap=True)
    raise SystemExit(FAILED if any(check.status == "fail" for check in checks) else 0)


def down() -> None:
    """Stop the running stack."""
    chosen = settings()
    now = state.running(chosen)
    if now is None:
        console.print("not running")
        return
    os.kill(now.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN_S
    with console.status("draining ..."):
        while time.monotonic() < deadline:
            if not is_held(chosen.home):
                console.print("stopped")
                return
            time.sleep(POLL_S)
    fail(f"it did not stop in {STOP_WITHIN_S:g} s", hint=f"kill {now.pid}; nothing is lost by it")


def reset(*, yes: bool) -> None:
    """Delete the home."""
    chosen = settings()
    if chosen.home.exists() and is_held(chosen.home):
        fail(f"{chosen.home} is in use", hint="effectmesh down")
    if not chosen.home.exists():
        console.print(f"nothing is kept in {chosen.home}")
        return
    if not (chosen.home / "lock").exists():
        fail(f"{chosen.home} is no home of effectmesh", hint="nothing was deleted")
    if not yes:
        console.print(f"this deletes every job, clip and ledger entry in {chosen.home}")
        if console.input("type yes to go on: ").strip() != "yes":
            console.print("nothing was deleted")
            return
    shutil.rmtree(chosen.home)
    console.print(f"deleted {chosen.home}")


def create_token(name: str, tenant: str, user: str, role: str) -> None:
    """Make a token."""
    if role not in ROLES:
        fail(f"there is no role {role}", hint=f"one of {', '.join(ROLES)}")
    chosen = settings()
    chosen.home.mkdir(parents=True, exist_ok=True)
    made = state.add_token(chosen, name=name, tenant=TenantId(tenant), user=UserId(user), role=role)
    console.print(made, soft_wrap=True)


def prepare() -> None:
    """Prepare a database and a broker of the user's own."""
    from effectmesh.prepare import prepare as make_ready

    chosen = settings()
    if not chosen.nats_url or not chosen.postgres_url:
        fail(
            "there is nothing to prepare: no EFFECTMESH_NATS_URL and EFFECTMESH_POSTGRES_URL",
            hint="effectmesh up prepares its own servers",
        )

    async def make() -> None:
        state.tokens(chosen)
        state.routing_key(chosen)
        await make_ready(chosen)
        console.print(f"prepared; tokens are in {state.tokens_file(chosen)}", soft_wrap=True)

    own_folder(chosen.home)
    run(make)


def process(name: str) -> None:
    """Run one process of the stack."""
    from importlib import import_module

    from effectmesh.processes.common import run_process

    module = import_module(f"effectmesh.processes.{name}")
    raise SystemExit(run_process(name, module.main, settings()))


def agent(
    *,
    comfyui: str,
    slots: int,
    lanes: str,
    comfyui_dir: Path | None,
    allow_public_host: bool,
    previews: bool,
) -> None:
    """Serve one ComfyUI host."""
    from effectmesh.processes.agent import AgentOptions, main
    from effectmesh.processes.common import run_process
    from gpu_agent.address import check_address
    from gpu_agent.errors import UnsafeHostError
    from schemas.lanes import LANES

    try:
        anyio.run(partial(check_address, comfyui, allow_public=allow_public_host))
    except UnsafeHostError as unsafe:
        fail(str(unsafe))
    served = tuple(dict.fromkeys(each.strip() for each in lanes.split(",") if each.strip()))
    if not served or not set(served) <= set(LANES):
        fail(f"no such lanes: {lanes}", hint=f"--lanes {','.join(LANES)}")
    options = AgentOptions(
        comfyui=comfyui,
        slots=slots,
        lanes=served,
        comfyui_dir=comfyui_dir,
        allow_public_host=allow_public_host,
        previews=previews,
    )
    raise SystemExit(run_process("agent", partial(main, options=options), settings()))


def renderer(port: int, number: int, switches: str = "") -> None:
    """Run one embedded renderer."""
    from effectmesh.processes.common import run_process
    from effectmesh.processes.renderer import main

    serve = partial(main, port=port, number=number, switches=switches)
    raise SystemExit(run_process("renderer", serve, settings()))
