"""Requests to one module, imperative. They wait in CMD until they are done."""

from __future__ import annotations

from msgspec import Struct

from schemas.base import Command, Event, MicroTokens, ProviderId, TaskId, UserId, VideoId
from schemas.hosts import ConcurrencyLimit
from schemas.jobs import JobOrder
from schemas.routing import ProviderRecord
from schemas.tasks import AttemptOrder
from schemas.video import EffectRequest


class StartJob(Command, frozen=True, kw_only=True):
    """To the orchestrator: a user ordered an effect."""

    payload: JobOrder


class Cancellation(Struct, frozen=True, kw_only=True):
    """Who cancels, and why."""

    by: UserId
    reason: str = ""


class CancelJob(Command, frozen=True, kw_only=True):
    """To the orchestrator: stop, and give the tokens back."""

    payload: Cancellation


class IngestOrder(Struct, frozen=True, kw_only=True):
    """Which stored upload is to be normalised, for which request."""

    video_id: VideoId
    user_id: UserId
    source_uri: str
    request: EffectRequest


class IngestVideo(Command, frozen=True, kw_only=True):
    """To Video Intake: normalise a stored upload."""

    payload: IngestOrder


class HoldOrder(Struct, frozen=True, kw_only=True):
    """What a price is asked and reserved for."""

    hold_id: str
    user_id: UserId
    effect_type: str
    priority: str
    budget_microtokens: MicroTokens | None = None


class HoldTokens(Command, frozen=True, kw_only=True):
    """To the Economic Engine: price the job and reserve that much."""

    payload: HoldOrder


class SettleOrder(Struct, frozen=True, kw_only=True):
    """Which hold is to be charged, for the work of which task."""

    hold_id: str
    user_id: UserId
    winning_task_id: TaskId
    effect_type: str = ""


class SettleTokens(Command, frozen=True, kw_only=True):
    """To the Economic Engine: charge the hold, never above it."""

    payload: SettleOrder


class ReleaseOrder(Struct, frozen=True, kw_only=True):
    """Which hold goes back, and why."""

    hold_id: str
    user_id: UserId
    reason: str


class ReleaseTokens(Command, frozen=True, kw_only=True):
    """To the Economic Engine: give every held token back."""

    payload: ReleaseOrder


class RunAttempt(Command, frozen=True, kw_only=True):
    """To whichever agent pulls it: render once."""

    payload: AttemptOrder


class CancelTasks(Command, frozen=True, kw_only=True):
    """To the execution module: stop every open task of the job."""

    payload: Cancellation


class SetConcurrency(Command, frozen=True, kw_only=True):
    """To the execution module: so many renders of a provider at once, not more."""

    payload: ConcurrencyLimit


class DecisionOrder(Struct, frozen=True, kw_only=True):
    """What an admin decided."""

    decided_by: UserId
    approve: bool
    reason: str = ""


class DecideApproval(Command, frozen=True, kw_only=True):
    """To approval: an admin's answer."""

    payload: DecisionOrder


class Wake(Event, frozen=True, kw_only=True):
    """A timer went off. Says which, in the words of whoever set it."""

    purpose: str
    step: int = 0
    task_id: TaskId = TaskId("")


class TopUp(Struct, frozen=True, kw_only=True):
    """How much is paid into a wallet."""

    topup_id: str
    amount_microtokens: MicroTokens
    by: UserId


class TopUpWallet(Command, frozen=True, kw_only=True):
    """To the Economic Engine: tokens were bought or granted."""

    payload: TopUp


class ProviderEdition(Struct, frozen=True, kw_only=True):
    """A provider's record as an admin wants it. Its status counts only when it is new."""

    record: ProviderRecord
    by: UserId
    made_from: int = 0
    """The revision that was edited; 0 adds a provider."""
    force: bool = False
    """Let it serve although no host is known that can run it."""


class PutProvider(Command, frozen=True, kw_only=True):
    """To the provider registry: add a provider, or store a new revision of one."""

    payload: ProviderEdition


class StatusOrder(Struct, frozen=True, kw_only=True):
    """Whether a provider is to be given jobs."""

    provider_id: ProviderId
    status: str
    """``active``, ``shadow``, ``draining``, ``disabled`` or ``draft``."""
    by: UserId
    reason: str = ""
    force: bool = False
    """Let it serve although no host is known that can run it."""


class SetProviderStatus(Command, frozen=True, kw_only=True):
    """To the provider registry: give a provider jobs, or no more."""

    payload: StatusOrder
