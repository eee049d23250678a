"""Ids, units, and the envelope every message carries."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, NewType

from msgspec import Meta, Struct

EventId = NewType("EventId", str)
JobId = NewType("JobId", str)
TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
VideoId = NewType("VideoId", str)
TaskId = NewType("TaskId", str)
ProviderId = NewType("ProviderId", str)
WorkflowId = NewType("WorkflowId", str)

MicroTokens = Annotated[int, Meta(description="millionths of a token")]
MicroUsd = Annotated[int, Meta(description="millionths of a US dollar")]
Milliseconds = Annotated[int, Meta(ge=0, description="milliseconds")]
UnitInterval = Annotated[float, Meta(ge=0.0, le=1.0)]

MICRO: Final = 1_000_000
"""Micro-units in one token, and in one US dollar."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Scalar = str | int | float | bool | None
"""What a workflow parameter may be."""


class Module(StrEnum):
    """Who says a message: the ten modules and the two edges."""

    VIDEO_INTAKE = "video_intake"
    CONTENT_ANALYSIS = "content_analysis"
    PROVIDER_REGISTRY = "provider_registry"
    PROMPT_GENERATION = "prompt_generation"
    ORCHESTRATOR = "orchestrator"
    EXECUTION = "execution"
    QUALITY_EVALUATION = "quality_evaluation"
    ECONOMIC_ENGINE = "economic_engine"
    APPROVAL = "approval"
    GALLERY = "gallery"
    GPU_AGENT = "gpu_agent"
    GATEWAY = "gateway"


class Message(Struct, frozen=True, kw_only=True, tag_field="event_type", tag=str):
    """The envelope. The class name is the ``event_type`` on the wire.

    The specification's own examples leave out some of these, so they have
    defaults and decode; a message with an empty id has no subject and cannot
    be published.
    """

    event_id: EventId = EventId("")
    timestamp: datetime = EPOCH
    correlation_id: JobId = JobId("")
    tenant_id: TenantId = TenantId("")
    cause_id: EventId = EventId("")
    """The message this one answers, empty for the first of a job."""


class Event(Message, frozen=True, kw_only=True):
    """A fact. Stored in EVT."""


class Command(Message, frozen=True, kw_only=True):
    """A request to one module. Stored in CMD until it is done."""
