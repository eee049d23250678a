"""The subject of every message. No other file joins tokens with dots."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from schemas import asks, commands, events
from schemas.base import Command, Event, Message, Module
from schemas.progress import JobProgressed
from schemas.telemetry import TelemetryPacket

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")
_MARK: Final = 8
_HOST_KEPT: Final = 100
_SUBJECT: Final = re.compile(rf"{_TOKEN.pattern}(?:\.{_TOKEN.pattern})*")

OWNER: Final[dict[type[Message], Module]] = {
    events.JobStarted: Module.ORCHESTRATOR,
    events.VideoIngested: Module.VIDEO_INTAKE,
    events.VideoRejected: Module.VIDEO_INTAKE,
    events.ContentAnalyzed: Module.CONTENT_ANALYSIS,
    events.AnalysisFailed: Module.CONTENT_ANALYSIS,
    events.PromptsGenerated: Module.PROMPT_GENERATION,
    events.TestBatchDispatched: Module.ORCHESTRATOR,
    events.AttemptFinished: Module.GPU_AGENT,
    events.TaskSucceeded: Module.EXECUTION,
    events.TaskFailed: Module.EXECUTION,
    events.LateAttemptPriced: Module.EXECUTION,
    events.HostQuarantined: Module.EXECUTION,
    events.ScaleRequested: Module.EXECUTION,
    events.QualityEvaluated: Module.QUALITY_EVALUATION,
    events.BestResultSelected: Module.ORCHESTRATOR,
    events.ApprovalRequested: Module.ORCHESTRATOR,
    events.UserNotified: Module.APPROVAL,
    events.AdminApproved: Module.APPROVAL,
    events.AdminRejected: Module.APPROVAL,
    events.EffectPublished: Module.GALLERY,
    events.JobEnded: Module.ORCHESTRATOR,
    events.TokensHeld: Module.ECONOMIC_ENGINE,
    events.TokensCharged: Module.ECONOMIC_ENGINE,
    events.TokensReleased: Module.ECONOMIC_ENGINE,
    events.UserQuotaExceeded: Module.ECONOMIC_ENGINE,
    events.EconomicAlert: Module.ECONOMIC_ENGINE,
    events.RoutingPolicyUpdated: Module.ECONOMIC_ENGINE,
    events.ProviderStatusChanged: Module.PROVIDER_REGISTRY,
}
"""Which module says a fact."""

ADDRESSEE: Final[dict[type[Command], Module]] = {
    commands.StartJob: Module.ORCHESTRATOR,
    commands.CancelJob: Module.ORCHESTRATOR,
    commands.IngestVideo: Module.VIDEO_INTAKE,
    commands.HoldTokens: Module.ECONOMIC_ENGINE,
    commands.SettleTokens: Module.ECONOMIC_ENGINE,
    commands.ReleaseTokens: Module.ECONOMIC_ENGINE,
    commands.TopUpWallet: Module.ECONOMIC_ENGINE,
    commands.CancelTasks: Module.EXECUTION,
    commands.SetConcurrency: Module.EXECUTION,
    commands.DecideApproval: Module.APPROVAL,
    commands.PutProvider: Module.PROVIDER_REGISTRY,
    commands.SetProviderStatus: Module.PROVIDER_REGISTRY,
}
"""Which module a command is for. ``RunAttempt`` goes to a lane and a provider instead."""

ANSWERER: Final[dict[type, Module]] = {
    asks.InspectUpload: Module.VIDEO_INTAKE,
    asks.FindUpload: Module.VIDEO_INTAKE,
    asks.DeleteUpload: Module.VIDEO_INTAKE,
    asks.ForgetAnalysis: Module.CONTENT_ANALYSIS,
    asks.ListReviews: Module.VIDEO_INTAKE,
    asks.DecideReview: Module.VIDEO_INTAKE,
    asks.ListJobs: Module.ORCHESTRATOR,
    asks.FindJob: Module.ORCHESTRATOR,
    asks.ListRenders: Module.ORCHESTRATOR,
    asks.ListApprovals: Module.APPROVAL,
    asks.FindApproval: Module.APPROVAL,
    asks.ListNotifications: Module.APPROVAL,
    asks.ListGallery: Module.GALLERY,
    asks.FindEffect: Module.GALLERY,
    asks.ListProviders: Module.PROVIDER_REGISTRY,
    asks.FindProvider: Module.PROVIDER_REGISTRY,
    asks.FindProviderChange: Module.PROVIDER_REGISTRY,
    asks.ImportProvider: Module.PROVIDER_REGISTRY,
    asks.ValidateProvider: Module.PROVIDER_REGISTRY,
    asks.ReadWallet: Module.ECONOMIC_ENGINE,
    asks.ReadStatement: Module.ECONOMIC_ENGINE,
    asks.VerifyLedger: Module.ECONOMIC_ENGINE,
    asks.ReadMargins: Module.ECONOMIC_ENGINE,
}
"""Which module answers a question."""

ADDRESSED_TOKENS: Final = 5
"""Tokens of a fact's, a command's and a timer's subject: those that name a tenant and a job."""


class InvalidTokenError(ValueError):
    """A part of a subject holds a character that NATS would read as structure."""

    def __init__(self, token: str) -> None:
        super().__init__(f"not a subject token: {token!r}")
        self.token = token


class UnroutedMessageError(TypeError):
    """A message class has no owner or addressee, so it has no subject."""

    def __init__(self, kind: type) -> None:
        super().__init__(f"no subject is declared for {kind.__name__}")
        self.kind = kind


def subject_of(said: Message) -> str:
    """Return the one subject this message is published on.

    Raises:
        InvalidTokenError: an id is empty or holds a dot, a space or a wildcard.
        UnroutedMessageError: the class is declared nowhere.
    """
    if isinstance(said, commands.RunAttempt):
        task = said.payload.task
        return gpu_work(task.lane, task.provider_id)
    if isinstance(said, JobProgressed):
        return progress(said.tenant_id, said.correlation_id)
    if isinstance(said, TelemetryPacket):
        return _join("tlm", said.module)
    if isinstance(said, Event):
        return fact(said)
    if isinstance(said, Command):
        return command(said)
    raise UnroutedMessageError(type(said))


def fact(said: Event) -> str:
    """Return the one subject this fact is published on."""
    kind = type(said)
    if kind not in OWNER:
        raise UnroutedMessageError(kind)
    return _join("evt", OWNER[kind], kind.__name__, said.tenant_id, said.correlation_id)


def command(said: Command) -> str:
    """Return the one subject this command is published on."""
    kind = type(said)
    if kind not in ADDRESSEE:
        raise UnroutedMessageError(kind)
    return _join("cmd", ADDRESSEE[kind], kind.__name__, said.tenant_id, said.correlation_id)


def facts_of(kind: type[Event]) -> str:
    """Return the filter for every fact of one kind."""
    return _join("evt", OWNER[kind], kind.__name__) + ".>"


def facts_about(job_id: str) -> str:
    """Return the filter for every fact about one job."""
    return "evt.*.*.*." + _join(job_id)


def commands_for(module: Module) -> str:
    """Return the filter for every command to one module."""
    return _join("cmd", module) + ".>"


def gpu_work(lane: str, provider_id: str) -> str:
    """Return the subject of renders for one provider in one lane."""
    return _join("cmd", "exec", lane, provider_id)


def all_gpu_work() -> str:
    """Return the filter for the renders of every provider in every lane."""
    return "cmd.exec.>"


def progress(tenant_id: str, job_id: str) -> str:
    """Return the subject of one job's live progress."""
    return _join("prog", tenant_id, job_id)


def progress_of_tenant(tenant_id: str) -> str:
    """Return the filter for the live progress of one tenant's jobs."""
    return _join("prog", tenant_id) + ".*"


def telemetry(module: Module) -> str:
    """Return the subject of one module's telemetry."""
    return _join("tlm", module)


def all_telemetry() -> str:
    """Return the filter for every module's telemetry."""
    return "tlm.*"


def saga(key: str) -> str:
    """Return the subject that holds the record of one job or task."""
    return _join("saga", key)


def saga_key(subject: str) -> str:
    """Return the job or task a saga subject belongs to."""
    return subject.split(".", 1)[1]


def timer(key: str, name: str) -> str:
    """Return the subject a timer is set on; setting it again replaces it."""
    return _join("timer", key, name)


def due(module: Module, tenant_id: str, job_id: str, name: str) -> str:
    """Return the subject a timer is delivered on."""
    return _join("due", module, tenant_id, job_id, name)


def due_for(module: Module) -> str:
    """Return the filter for every timer of one module."""
    return _join("due", module) + ".>"


def addressed(subject: str) -> tuple[str, str, str] | None:
    """Return the kind, tenant and job that the subject of a message names, if it names a job."""
    tokens = subject.split(".")
    if len(tokens) != ADDRESSED_TOKENS:
        return None
    if tokens[0] == "due":
        return commands.Wake.__name__, tokens[2], tokens[3]
    return tokens[2], tokens[3], tokens[4]


def dead_letter(module: Module) -> str:
    """Return the subject of one module's dead letters."""
    return _join("dlq", module)


def saga_records() -> str:
    """Return the filter for every saga record."""
    return "saga.*"


def bucket_stream(bucket: str) -> str:
    """Return the stream behind a key-value bucket."""
    return "KV_" + _join(bucket)


def entry(bucket: str, key: str) -> str:
    """Return the subject that holds one key of a key-value bucket; keys may have dots."""
    return "$KV." + _join(bucket, *key.split("."))


def entries(bucket: str) -> str:
    """Return the filter for every key of a key-value bucket."""
    return "$KV." + _join(bucket) + ".>"


def entry_key(bucket: str, subject: str) -> str:
    """Return the key a key-value subject belongs to."""
    return subject.removeprefix("$KV." + bucket + ".")


def host_token(host: str) -> str:
    """Return a host's name as one token: as it is, or made fit with a mark of what it was.

    >>> host_token("gpu-7")
    'gpu-7'
    >>> host_token("10.0.0.7:8188")
    '10-0-0-7-8188-f71b4903'
    """
    if _TOKEN.fullmatch(host):
        return host
    mark = hashlib.sha256(host.encode()).hexdigest()[:_MARK]
    return f"{_UNFIT.sub('-', host)[:_HOST_KEPT]}-{mark}"


def quarantine_key(host: str) -> str:
    """Return the key in CONTROL that says whether a host stands aside."""
    return _join("quarantine", host_token(host))


def concurrency_key(provider_id: str) -> str:
    """Return the key in CONTROL that says how many renders of a provider may run at once."""
    return _join("concurrency", provider_id)


def cancel_key(job_id: str) -> str:
    """Return the key in CONTROL that says that a job was cancelled."""
    return _join("cancel", job_id)


def log(category: str, module: str, severity: str) -> str:
    """Return the subject of one kind of log record."""
    return _join("log", category, module, severity)


def inbox_prefix(module: Module) -> str:
    """Return what the inboxes of a module begin with when it has a user of its own."""
    return "_INBOX_" + _join(module)


def ask(question: type) -> str:
    """Return the request/reply subject of one kind of question."""
    if question not in ANSWERER:
        raise UnroutedMessageError(question)
    return _join("ask", ANSWERER[question], question.__name__)


def _join(*tokens: str) -> str:
    joined = ".".join(tokens)
    # One look at the whole, as it is done for every message; a dot in a token shows in the count.
    if _SUBJECT.fullmatch(joined) and joined.count(".") == len(tokens) - 1:
        return joined
    for token in tokens:
        if not _TOKEN.fullmatch(token):
            raise InvalidTokenError(token)
    return joined
