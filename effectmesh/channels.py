"""Every subject of the platform: the stream behind it, what is said there, by whom and to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from actors.runtime.answering import DeadLetter
from gpu_agent.presence import Presence
from schemas import asks, logs
from schemas.base import Event, EventId, Module
from schemas.commands import Cancellation, RunAttempt, Wake
from schemas.progress import JobProgressed
from schemas.routing import ProviderRecord, RoutingManifest
from schemas.telemetry import TelemetryPacket
from subjects import build
from subjects.build import ADDRESSEE, ANSWERER, OWNER
from subjects.topology import (
    CMD,
    CONTROL,
    DLQ,
    EVT,
    HEARS,
    LOG,
    MANIFEST_KEY,
    PRESENCE,
    PROGRESS,
    REGISTRY,
    ROUTING,
    SAGA,
    TIMER,
    TLM,
    WAKES,
)

ANSWER: Final[Mapping[type[Struct], type[Struct]]] = {
    asks.InspectUpload: asks.UploadInspected,
    asks.FindUpload: asks.UploadFound,
    asks.DeleteUpload: asks.UploadDeleted,
    asks.ForgetAnalysis: asks.AnalysisForgotten,
    asks.ListReviews: asks.ReviewPage,
    asks.DecideReview: asks.ReviewDecided,
    asks.ListJobs: asks.JobPage,
    asks.FindJob: asks.JobFound,
    asks.ListRenders: asks.RendersListed,
    asks.ListApprovals: asks.ApprovalPage,
    asks.FindApproval: asks.ApprovalPage,
    asks.ListNotifications: asks.NotificationPage,
    asks.ListGallery: asks.GalleryPage,
    asks.FindEffect: asks.GalleryPage,
    asks.ListProviders: asks.ProviderPage,
    asks.FindProvider: asks.ProviderFound,
    asks.FindProviderChange: asks.ProviderChangeFound,
    asks.ImportProvider: asks.ProviderProposal,
    asks.ValidateProvider: asks.ProviderValidated,
    asks.ReadWallet: asks.Wallet,
    asks.ReadStatement: asks.Statement,
    asks.VerifyLedger: asks.LedgerVerdict,
    asks.ReadMargins: asks.Margins,
}
"""What a question is answered with."""

ORDERED_BY: Final = {
    Module.GATEWAY: (
        "StartJob",
        "CancelJob",
        "DecideApproval",
        "TopUpWallet",
        "PutProvider",
        "SetProviderStatus",
    ),
    Module.EXECUTION: ("RunAttempt",),
    Module.ECONOMIC_ENGINE: ("SetConcurrency",),
}
"""Who gives which order; what is not named here, the orchestrator orders."""

MEASURING: Final = (Module.EXECUTION, Module.QUALITY_EVALUATION, Module.ECONOMIC_ENGINE)
PROGRESSING: Final = (Module.ORCHESTRATOR, Module.GPU_AGENT)
REMEMBERING: Final = (Module.ORCHESTRATOR, Module.EXECUTION)
LETTERS: Final = tuple(each for each in Module if each is not Module.GATEWAY)

_ABOUT: Final = "{tenant}.{job}"


class Word(Struct, frozen=True, kw_only=True):
    """What a step of a saga says: a message on a subject, or the end of that subject."""

    subject: str
    data: dict[str, Any] = {}
    headers: dict[str, str] = {}
    purge: str = ""


class SagaRecord(Struct, frozen=True, kw_only=True):
    """One step of one saga: the new state, and what is said because of it."""

    key: str
    step: int
    applied: tuple[EventId, ...]
    state: dict[str, Any]
    said: tuple[Word, ...]


class Channel(Struct, frozen=True, kw_only=True):
    """One subject, the stream behind it, what is said there, by whom and to whom."""

    name: str
    address: str
    kinds: tuple[type[Struct], ...]
    about: str
    stream: str = ""
    by: tuple[Module, ...] = ()
    to: tuple[Module, ...] = ()
    answer: type[Struct] | None = None


def channels() -> Sequence[Channel]:
    """Return every subject of the platform."""
    return [*_facts(), *_commands(), *_others(), *_buckets(), *_questions()]


def _facts() -> Iterator[Channel]:
    for kind, owner in OWNER.items():
        if issubclass(kind, Event):
            yield Channel(
                name=kind.__name__,
                address=build.facts_of(kind).replace(">", _ABOUT),
                kinds=(kind,),
                about=summary(kind),
                stream=EVT,
                by=(owner,),
                to=tuple(module for module, kinds in HEARS.items() if kind in kinds),
            )


def _commands() -> Iterator[Channel]:
    for kind, addressee in ADDRESSEE.items():
        yield Channel(
            name=kind.__name__,
            address=build.commands_for(addressee).replace(">", f"{kind.__name__}.{_ABOUT}"),
            kinds=(kind,),
            about=summary(kind),
            stream=CMD,
            by=_ordering(kind.__name__),
            to=(addressee,),
        )
    yield Channel(
        name=RunAttempt.__name__,
        address=_with_tokens(build.gpu_work("lane", "provider"), "lane", "provider"),
        kinds=(RunAttempt,),
        about=summary(RunAttempt),
        stream=CMD,
        by=_ordering(RunAttempt.__name__),
        to=(Module.GPU_AGENT,),
    )


def _others() -> Iterator[Channel]:
    for module in WAKES:
        yield Channel(
            name=f"Wake_{module}",
            address=build.due_for(module).replace(">", f"{_ABOUT}.{{name}}"),
            kinds=(Wake,),
            about=f"a timer of {module} went off",
            stream=TIMER,
            to=(module,),
        )
    yield Channel(
        name="Timer",
        address=_with_tokens(build.timer("key", "name"), "key", "name"),
        kinds=(Wake,),
        about="a timer that is set; the server says it again on the due subject when it is time",
        stream=TIMER,
        by=REMEMBERING,
    )
    yield Channel(
        name="SagaRecord",
        address=_with_tokens(build.saga("key"), "key"),
        kinds=(SagaRecord,),
        about=summary(SagaRecord),
        stream=SAGA,
        by=REMEMBERING,
        to=REMEMBERING,
    )
    yield Channel(
        name="Progress",
        address=_with_tokens(build.progress("tenant", "job"), "tenant", "job"),
        kinds=(JobProgressed,),
        about=summary(JobProgressed),
        stream=PROGRESS,
        by=PROGRESSING,
        to=(Module.GATEWAY,),
    )
    for module in MEASURING:
        yield Channel(
            name=f"Telemetry_{module}",
            address=build.telemetry(module),
            kinds=(TelemetryPacket,),
            about=f"what {module} measured",
            stream=TLM,
            by=(module,),
            to=(Module.ECONOMIC_ENGINE,),
        )
    for module in LETTERS:
        yield Channel(
            name=f"DeadLetters_{module}",
            address=build.dead_letter(module),
            kinds=(DeadLetter,),
            about=f"what {module} could not answer; for people",
            stream=DLQ,
            by=(module,),
        )
    yield Channel(
        name="Log",
        address=_with_tokens(
            build.log("category", "module", "severity"), "category", "module", "severity"
        ),
        kinds=(logs.Debug, logs.Info, logs.Warn, logs.Error, logs.Critical),
        about="action-oriented log records; for people",
        stream=LOG,
    )


def _buckets() -> Iterator[Channel]:
    yield Channel(
        name="RoutingManifest",
        address=build.entry(ROUTING, MANIFEST_KEY),
        kinds=(RoutingManifest,),
        about="who gets the next job; key-value, the newest counts",
        stream=build.bucket_stream(ROUTING),
        by=(Module.ECONOMIC_ENGINE,),
        to=(Module.ORCHESTRATOR, Module.ECONOMIC_ENGINE, Module.GATEWAY),
    )
    yield Channel(
        name="Providers",
        address=_with_tokens(build.entry(REGISTRY, "provider"), "provider"),
        kinds=(ProviderRecord,),
        about="one provider; key-value, the newest counts",
        stream=build.bucket_stream(REGISTRY),
        by=(Module.PROVIDER_REGISTRY,),
        to=(
            Module.QUALITY_EVALUATION,
            Module.ECONOMIC_ENGINE,
            Module.GPU_AGENT,
            Module.GATEWAY,
        ),
    )
    yield Channel(
        name="Presence",
        address=_with_tokens(build.entry(PRESENCE, "agent"), "agent"),
        kinds=(Presence,),
        about="one agent that is alive; key-value, gone half a minute after the agent",
        stream=build.bucket_stream(PRESENCE),
        by=(Module.GPU_AGENT,),
        to=(Module.GPU_AGENT, Module.EXECUTION, Module.PROVIDER_REGISTRY),
    )

    yield Channel(
        name="Cancellations",
        address=_with_tokens(build.entry(CONTROL, "cancel.job"), "job"),
        kinds=(Cancellation,),
        about="one job that is cancelled; key-value, that the key is there says it",
        stream=build.bucket_stream(CONTROL),
        by=(Module.EXECUTION,),
        to=(Module.GPU_AGENT,),
    )


def _questions() -> Iterator[Channel]:
    for kind, answerer in ANSWERER.items():
        yield Channel(
            name=kind.__name__,
            address=build.ask(kind),
            kinds=(kind,),
            about=summary(kind),
            by=(Module.GATEWAY,),
            to=(answerer,),
            answer=ANSWER[kind],
        )


def _ordering(kind: str) -> tuple[Module, ...]:
    return tuple(module for module, kinds in ORDERED_BY.items() if kind in kinds) or (
        Module.ORCHESTRATOR,
    )


def _with_tokens(subject: str, *names: str) -> str:
    """Put the last tokens of a subject into curly brackets."""
    tokens = subject.split(".")
    return ".".join((*tokens[: -len(names)], *(f"{{{name}}}" for name in names)))


def summary(kind: type[Struct]) -> str:
    """Return the first line of a message's docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0]
