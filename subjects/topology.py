"""Streams, consumers and buckets as one typed declaration.

``effectmesh topology plan|apply|check`` compares it with a server; ``nats/*.json`` is written from
it. Actors only bind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from schemas import commands, events
from schemas.base import Event, Message, Module
from schemas.hosts import CONCURRENCY_LIMIT
from schemas.lanes import LANES
from subjects import build

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB

MAX_DELIVER: Final = 8
"""Failures of one message before it is a dead letter."""
PATIENCE: Final = 1000
"""Deliveries of one message in all, those that were put off included."""
ACK_WAIT_S: Final = 30
GPU_ACK_WAIT_S: Final = 20
"""Short: a dead agent is noticed after this; a live one beats every third of it."""
HOSTS: Final = "hosts"
"""The group in which the pulls of all agents stand, those of warm hosts in front."""
GPU_PATIENCE: Final = 3 * MAX_DELIVER
"""A render that is left by one agent after the other is a dead letter; that agents let others go
before them, as an order may wish, must not make it one."""


class Stream(Struct, frozen=True, kw_only=True):
    """One stream. Times in seconds, sizes in bytes; 0 means no limit."""

    name: str
    subjects: tuple[str, ...]
    description: str
    retention: Literal["limits", "workqueue"] = "limits"
    storage: Literal["file", "memory"] = "file"
    discard: Literal["old", "new"] = "old"
    max_age_s: int = 0
    max_bytes: int = 0
    max_msgs_per_subject: int = 0
    duplicate_window_s: int = 10 * MINUTE
    allow_schedules: bool = False
    allow_batched: bool = False
    """Takes batches by fast ingest, with one acknowledgement each."""
    persist_async: bool = False
    deny_delete: bool = False


class Consumer(Struct, frozen=True, kw_only=True):
    """One durable pull consumer, shared by everybody who does the same work.

    The server redelivers without end; the runtime counts, and makes the dead letter. So a worker
    that dies on the last delivery strands nothing, which a limit on the server would.
    """

    stream: str
    name: str
    filters: tuple[str, ...]
    description: str
    ack_wait_s: int = ACK_WAIT_S
    max_deliver: int = MAX_DELIVER
    patience: int = PATIENCE
    max_ack_pending: int = 256
    priority_group: str = ""
    """Set, every pull names it and a priority, and the server serves the lowest number first."""
    tunable: bool = False
    """``max_ack_pending`` is what it is made with; it is changed while everything runs."""


class Bucket(Struct, frozen=True, kw_only=True):
    """One key-value bucket."""

    name: str
    description: str
    history: int = 1
    ttl_s: int = 0
    storage: Literal["file", "memory"] = "file"
    max_bytes: int = 64 * MIB


class Topology(Struct, frozen=True, kw_only=True):
    """All that must exist on the server."""

    streams: tuple[Stream, ...]
    consumers: tuple[Consumer, ...]
    buckets: tuple[Bucket, ...]
    replicas: int = 1
    """How many servers keep each message: 1, or 3 in a cluster."""


EVT: Final = "EVT"
CMD: Final = "CMD"
SAGA: Final = "SAGA"
TIMER: Final = "TIMER"
TLM: Final = "TLM"
PROGRESS: Final = "PROGRESS"
LOG: Final = "LOG"
DLQ: Final = "DLQ"

ROUTING: Final = "ROUTING"
REGISTRY: Final = "REGISTRY"
PRESENCE: Final = "PRESENCE"
CONTROL: Final = "CONTROL"

MANIFEST_KEY: Final = "manifest"
INDEX: Final = "orchestrator-index"

STREAMS: Final = (
    Stream(
        name=EVT,
        subjects=("evt.>",),
        description="business facts",
        max_age_s=14 * DAY,
        max_bytes=4 * GIB,
        deny_delete=True,
    ),
    Stream(
        name=CMD,
        subjects=("cmd.>",),
        description="commands, each kept until it is done",
        retention="workqueue",
        discard="new",
        max_age_s=7 * DAY,
        max_bytes=1 * GIB,
        duplicate_window_s=HOUR,
    ),
    Stream(
        name=SAGA,
        subjects=("saga.*",),
        description="one record per step: the new state and what the step says",
        max_age_s=30 * DAY,
        max_bytes=4 * GIB,
        max_msgs_per_subject=256,
    ),
    Stream(
        name=TIMER,
        subjects=("timer.>", "due.>"),
        description="durable timers, by message scheduling",
        max_age_s=30 * DAY,
        max_bytes=256 * MIB,
        allow_schedules=True,
    ),
    Stream(
        name=TLM,
        subjects=("tlm.*",),
        description="packed telemetry, apart from the business facts",
        max_age_s=8 * DAY,
        max_bytes=2 * GIB,
        allow_batched=True,
        persist_async=True,
    ),
    Stream(
        name=PROGRESS,
        subjects=("prog.*.*",),
        description="live progress, for resuming a watch",
        persist_async=True,  # not in memory: a broker that restarts forgets such a stream whole
        max_age_s=2 * HOUR,
        max_bytes=128 * MIB,
        max_msgs_per_subject=256,
    ),
    Stream(
        name=LOG,
        subjects=("log.*.*.*",),
        description="action-oriented log records",
        max_age_s=7 * DAY,
        max_bytes=512 * MIB,
    ),
    Stream(
        name=DLQ,
        subjects=("dlq.*",),
        description="dead letters with body, error and origin",
        max_age_s=30 * DAY,
        max_bytes=512 * MIB,
        duplicate_window_s=HOUR,
    ),
)

BUCKETS: Final = (
    Bucket(name=ROUTING, description="the routing manifest and overrides", history=64),
    Bucket(name=REGISTRY, description="provider records, for agents and routing", history=16),
    Bucket(name=PRESENCE, description="agents that are alive", ttl_s=30),
    Bucket(name=CONTROL, description="limits, quarantines, cancelled jobs", history=4),
)

HEARS: Final[dict[Module, tuple[type[Event], ...]]] = {
    Module.CONTENT_ANALYSIS: (events.VideoIngested,),
    Module.PROMPT_GENERATION: (
        events.ContentAnalyzed,
        events.TestBatchDispatched,
        events.QualityEvaluated,
        events.BestResultSelected,
        events.JobEnded,
    ),
    Module.ORCHESTRATOR: (
        events.VideoIngested,
        events.VideoRejected,
        events.ContentAnalyzed,
        events.AnalysisFailed,
        events.PromptsGenerated,
        events.TaskSucceeded,
        events.TaskFailed,
        events.QualityEvaluated,
        events.AdminApproved,
        events.AdminRejected,
        events.EffectPublished,
        events.TokensHeld,
        events.TokensCharged,
        events.TokensReleased,
        events.UserQuotaExceeded,
    ),
    Module.EXECUTION: (events.TestBatchDispatched, events.AttemptFinished),
    Module.QUALITY_EVALUATION: (events.TaskSucceeded,),
    Module.ECONOMIC_ENGINE: (
        events.TaskSucceeded,
        events.TaskFailed,
        events.LateAttemptPriced,
        events.QualityEvaluated,
        events.ProviderStatusChanged,
    ),
    Module.APPROVAL: (
        events.BestResultSelected,
        events.ApprovalRequested,
        events.EffectPublished,
        events.JobEnded,
        events.AdminRejected,
    ),
    Module.GALLERY: (events.AdminApproved, events.JobEnded),
    Module.PROVIDER_REGISTRY: (events.TaskSucceeded, events.TaskFailed),
}
"""Which facts a module hears, in one durable consumer of EVT named after it."""

OBEYS: Final[dict[Module, tuple[type[Message], ...]]] = {
    Module.ORCHESTRATOR: (commands.StartJob, commands.CancelJob),
    Module.VIDEO_INTAKE: (commands.IngestVideo,),
    Module.ECONOMIC_ENGINE: (
        commands.HoldTokens,
        commands.SettleTokens,
        commands.ReleaseTokens,
        commands.TopUpWallet,
    ),
    Module.EXECUTION: (commands.CancelTasks, commands.SetConcurrency),
    Module.APPROVAL: (commands.DecideApproval,),
    Module.PROVIDER_REGISTRY: (commands.PutProvider, commands.SetProviderStatus),
}
"""Which commands a module obeys, in one durable consumer of CMD named after it."""

WAKES: Final = (
    Module.ORCHESTRATOR,
    Module.EXECUTION,
    Module.ECONOMIC_ENGINE,
    Module.APPROVAL,
    Module.PROVIDER_REGISTRY,
)
"""Modules that set timers, heard in one durable consumer of TIMER named after them."""

KEYED: Final = frozenset({Module.ECONOMIC_ENGINE, Module.APPROVAL, Module.PROVIDER_REGISTRY})
"""Modules that take the messages of one job one after the other, in each process.

A job's transfers meet in the same rows of the ledger, and its messages to the user are read in the
order in which they were written; the edits of a provider are told to agents in the order in which
they were stored. The sagas wait by themselves; the others hear one message of a
job, or several that have nothing to do with each other.
"""

SLOW: Final = {
    Module.VIDEO_INTAKE: 4,
    Module.CONTENT_ANALYSIS: 4,
    Module.QUALITY_EVALUATION: 8,
}
"""Modules that decode video: so many messages at most may be under way at once."""


def gpu_consumer(lane: str, provider_id: str) -> Consumer:
    """Return the consumer that all agents share which can serve a provider."""
    return Consumer(
        stream=CMD,
        name=f"exec-{lane}-{provider_id}",
        filters=(build.gpu_work(lane, provider_id),),
        description=f"renders for {provider_id}",
        ack_wait_s=GPU_ACK_WAIT_S,
        patience=GPU_PATIENCE,
        max_ack_pending=CONCURRENCY_LIMIT,
        priority_group=HOSTS,
        tunable=True,
    )


def gpu_consumers(provider_id: str) -> tuple[Consumer, ...]:
    """Return a provider's consumers in the order in which agents look into them."""
    return tuple(gpu_consumer(lane, provider_id) for lane in LANES)


def in_lanes(providers: Iterable[str]) -> list[tuple[str, str]]:
    """Return the (lane, provider id) pairs that serve these providers."""
    return [(lane, provider_id) for provider_id in providers for lane in LANES]


def topology(providers: Iterable[tuple[str, str]] = (), *, replicas: int = 1) -> Topology:
    """Return everything that must exist, for the given (lane, provider id) pairs."""
    heard = tuple(
        Consumer(
            stream=EVT,
            name=module,
            filters=tuple(build.facts_of(kind) for kind in kinds),
            description=f"what {module} hears",
            max_ack_pending=SLOW.get(module, 256),
        )
        for module, kinds in HEARS.items()
    )
    obeyed = tuple(
        Consumer(
            stream=CMD,
            name=module,
            filters=(build.commands_for(module),),
            description=f"what {module} is told to do",
            max_ack_pending=SLOW.get(module, 256),
        )
        for module in OBEYS
    )
    woken = tuple(
        Consumer(
            stream=TIMER,
            name=module,
            filters=(build.due_for(module),),
            description=f"timers of {module}",
        )
        for module in WAKES
    )
    indexed = Consumer(
        stream=SAGA,
        name=INDEX,
        filters=(build.saga_records(),),
        description="the job list in Postgres, made from the saga records",
    )
    rendered = tuple(gpu_consumer(lane, provider) for lane, provider in sorted(set(providers)))
    return Topology(
        streams=STREAMS,
        consumers=(*heard, *obeyed, *woken, indexed, *rendered),
        buckets=BUCKETS,
        replicas=replicas,
    )
