"""``nats/server.conf``: the server takes it, and its users may do what their code does and no more.

What is expected is made of ``subjects/``; only who gives which order, and who reads which bucket,
is said here, for it is said nowhere else as data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from schemas.base import Command, Module
from schemas.commands import (
    CancelJob,
    CancelTasks,
    DecideApproval,
    HoldTokens,
    IngestVideo,
    PutProvider,
    ReleaseTokens,
    RunAttempt,
    SetConcurrency,
    SetProviderStatus,
    SettleTokens,
    StartJob,
    TopUpWallet,
)
from schemas.lanes import INTERACTIVE
from subjects import build
from subjects.build import ADDRESSEE, ANSWERER, OWNER
from subjects.topology import (
    CMD,
    CONTROL,
    INDEX,
    PRESENCE,
    PROGRESS,
    REGISTRY,
    ROUTING,
    SAGA,
    STREAMS,
    TIMER,
    TLM,
    gpu_consumer,
    topology,
)
from tests.contract.ops import server

LANE, PROVIDER = INTERACTIVE, "fx-pixelate-v1"
DECLARED = topology([(LANE, PROVIDER)])
ABOUT = "tnt_1.job_1"

WHOLE = ("effectmesh", "sys")
"""Users without permissions of their own: one may do all in APP, the other is the server's."""

ORDERS: Mapping[Module, tuple[type[Command], ...]] = {
    Module.GATEWAY: (
        StartJob,
        CancelJob,
        DecideApproval,
        TopUpWallet,
        PutProvider,
        SetProviderStatus,
    ),
    Module.ORCHESTRATOR: (IngestVideo, CancelTasks, HoldTokens, SettleTokens, ReleaseTokens),
    Module.EXECUTION: (RunAttempt,),
    Module.ECONOMIC_ENGINE: (SetConcurrency,),
}
MEASURES = (Module.EXECUTION, Module.QUALITY_EVALUATION, Module.ECONOMIC_ENGINE)
PROGRESSES = (Module.ORCHESTRATOR, Module.GPU_AGENT)
REMEMBERS = (Module.ORCHESTRATOR, Module.EXECUTION)
WRITES = {
    Module.ECONOMIC_ENGINE: ROUTING,
    Module.PROVIDER_REGISTRY: REGISTRY,
    Module.EXECUTION: CONTROL,
    Module.GPU_AGENT: PRESENCE,
}
READS: Mapping[Module, tuple[str, ...]] = {
    Module.ORCHESTRATOR: (SAGA, f"KV_{ROUTING}"),
    Module.QUALITY_EVALUATION: (f"KV_{REGISTRY}",),
    Module.ECONOMIC_ENGINE: (TLM, f"KV_{ROUTING}", f"KV_{REGISTRY}"),
    Module.EXECUTION: (f"KV_{CONTROL}", f"KV_{PRESENCE}"),
    Module.PROVIDER_REGISTRY: (f"KV_{PRESENCE}",),
    Module.GPU_AGENT: (f"KV_{REGISTRY}", f"KV_{CONTROL}", f"KV_{PRESENCE}"),
    Module.GATEWAY: (PROGRESS, f"KV_{ROUTING}", f"KV_{REGISTRY}"),
}
"""The streams of which each keeps a copy or follows."""
TUNES = (Module.EXECUTION, Module.PROVIDER_REGISTRY)
"""Who may make and change the consumers of renders, and no others."""

DANGEROUS = (
    *(f"$JS.API.STREAM.{verb}.EVT" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE")),
    "$JS.API.STREAM.MSG.DELETE.CMD",
    "$JS.API.STREAM.MSG.GET.CMD",
    "$JS.API.CONSUMER.DELETE.EVT.orchestrator",
    "$JS.API.CONSUMER.CREATE.EVT",
    "$JS.API.CONSUMER.CREATE.CMD.spy",
    "$JS.API.CONSUMER.CREATE.CMD.spy.cmd.approval.>",
    "$JS.API.ACCOUNT.PURGE.APP",
    "$SYS.REQ.SERVER.PING",
    "anything.else",
)
"""What no module has any business with."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Return the port of a server that runs on the file."""
    with server.running(tmp_path_factory.mktemp("broker")) as listening:
        yield listening


def test_the_server_takes_the_file(tmp_path: Path) -> None:
    """It refuses what it does not know, so a misspelt setting is found here."""
    said = server.check(server.variables(tmp_path))

    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("name", sorted(server.variables(Path())))
def test_a_variable_that_is_not_set_stops_the_start(tmp_path: Path, name: str) -> None:
    """Else a forgotten password would be none."""
    environment = server.variables(tmp_path)
    del environment[name]

    said = server.check(environment)

    assert said.returncode != 0
    assert name in said.stderr


def test_no_password_stands_in_the_file() -> None:
    """Secrets are not committed."""
    lines = [line for line in server.without_comments().splitlines() if "password" in line]

    assert lines
    assert all("password: $NATS_PASSWORD_" in line for line in lines)


def test_there_is_a_user_for_every_module() -> None:
    """A module without one would have to share, and would then have another's rights."""
    assert server.users() == {*Module, *WHOLE}


def test_what_the_streams_may_keep_fits_into_the_account() -> None:
    """Streams reserve their size when they are made; the last would be refused."""
    kept = sum(each.max_bytes for each in STREAMS)
    kept += sum(each.max_bytes for each in DECLARED.buckets)

    assert "max_file: 64GB" in server.without_comments()
    assert 3 * kept < 64 * 1024**3, "in a cluster each copy counts"


def test_every_acknowledged_message_is_on_the_disk() -> None:
    """The default loses two minutes when the power fails."""
    assert "sync_interval: always" in server.without_comments()


def test_every_order_is_given_by_somebody() -> None:
    """So that the table above forgets none when a command is added."""
    assert {kind for kinds in ORDERS.values() for kind in kinds} == {*ADDRESSEE, RunAttempt}


@pytest.mark.parametrize("module", list(Module))
def test_a_module_may_publish_what_its_code_says_and_no_more(port: int, module: Module) -> None:
    """A broken or stolen process then harms only what it is for."""
    everything = set(DANGEROUS).union(*(_publishes(each) for each in Module))

    refused = server.refused_publish(port, module, sorted(everything))

    assert refused == everything - _publishes(module)


@pytest.mark.parametrize("module", list(Module))
def test_a_module_hears_its_own_replies_and_questions_only(port: int, module: Module) -> None:
    """With another's inbox it could read what that one asks for."""
    inboxes = {"_INBOX.a.b", "_INBOX.>"}
    questions = {build.ask(each) for each in ANSWERER}
    inboxes |= {f"{build.inbox_prefix(each)}.a.b" for each in Module}
    services = {f"$SRV.PING.{each}{more}" for each in Module for more in ("", ".id")}
    everything = inboxes | questions | services | {">", "evt.>", "$SYS.>", "$JS.EVENT.>"}
    everything |= {"$SRV.>", "$SRV.PING", "$SRV.INFO", "$SRV.STATS"}
    own = {each for each in questions if ANSWERER_OF[each] is module}
    own |= {f"{build.inbox_prefix(module)}.a.b", "$SRV.PING", "$SRV.INFO", "$SRV.STATS"}
    own |= {f"$SRV.PING.{module}", f"$SRV.PING.{module}.id"}

    refused = server.refused_subscribe(port, module, sorted(everything))

    assert refused == everything - own


def test_the_user_of_today_may_do_everything_in_its_account(port: int) -> None:
    """All processes connect as this one until each module has a connection."""
    everything = set().union(*(_publishes(each) for each in Module))

    assert server.refused_publish(port, "effectmesh", sorted(everything)) == set()
    assert server.refused_subscribe(port, "effectmesh", ["_INBOX.a.b", "evt.>"]) == set()


ANSWERER_OF = {build.ask(question): module for question, module in ANSWERER.items()}


def _publishes(module: Module) -> set[str]:
    """Return every subject, with example ids, that a module's code publishes on."""
    subjects = {
        build.facts_of(kind).replace(">", ABOUT)  # type: ignore[arg-type]  # all are events
        for kind, owner in OWNER.items()
        if owner is module
    }
    subjects |= {_order(kind) for kind in ORDERS.get(module, ())}
    subjects.add(build.log("cost", module, "WARN"))
    subjects |= {build.telemetry(module)} if module in MEASURES else set()
    subjects |= {build.progress("tnt_1", "job_1")} if module in PROGRESSES else set()
    subjects |= {build.entry(WRITES[module], "key")} if module in WRITES else set()
    if module is Module.GATEWAY:
        subjects |= {build.ask(question) for question in ANSWERER}
    else:
        subjects.add(build.dead_letter(module))
    if module in REMEMBERS:
        subjects |= {build.saga("job_1"), f"$JS.API.DIRECT.GET.{SAGA}.{build.saga('job_1')}"}
        subjects |= {build.timer("job_1", "deadline"), f"$JS.API.STREAM.PURGE.{TIMER}"}
    for stream in READS.get(module, ()):
        subjects |= {f"$JS.API.CONSUMER.CREATE.{stream}", f"$JS.FC.{stream}.x.y"}
    if module in TUNES:
        renders = gpu_consumer(LANE, PROVIDER)
        place = f"{renders.stream}.{renders.name}.{renders.filters[0]}"
        subjects.add(f"$JS.API.CONSUMER.CREATE.{place}")
    return subjects | _pulls(module) | _looks(module)


def _order(kind: type[Command]) -> str:
    if kind is RunAttempt:
        return build.gpu_work(LANE, PROVIDER)
    return build.commands_for(ADDRESSEE[kind]).replace(">", f"{kind.__name__}.{ABOUT}")


def _pulls(module: Module) -> set[str]:
    """Return what is needed to take messages from one's consumers and to acknowledge them."""
    subjects: set[str] = set()
    for each in DECLARED.consumers:
        if _owner_of(each.stream, each.name) is module:
            place = f"{each.stream}.{each.name}"
            subjects.add(f"$JS.API.CONSUMER.MSG.NEXT.{place}")
            subjects |= {f"$JS.ACK.{place}.1.2.3.4.5", f"$JS.ACK.hub.acc.{place}.1.2.3.4.5.x"}
    return subjects


def _owner_of(stream: str, consumer: str) -> Module:
    if consumer == INDEX:
        return Module.ORCHESTRATOR
    return Module.GPU_AGENT if stream == CMD and consumer.startswith("exec-") else Module(consumer)


def _looks(module: Module) -> set[str]:
    """Return what everybody asks when it starts: whether the broker is as declared."""
    del module
    return {"$JS.API.INFO", "$JS.API.STREAM.INFO.EVT", "$JS.API.CONSUMER.INFO.EVT.approval"}
