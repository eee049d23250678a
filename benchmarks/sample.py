"""The event that everybody handles, and what everybody does with it.

A hop hears a ``VideoIngested`` and says one. Each stage has its own tenant, so that eight stages
are eight consumers of one stream, and every candidate reads and writes the same subjects.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from actors.runtime.follow import follow
from schemas.base import EventId, JobId, Module, TenantId, UserId, VideoId
from schemas.events import VideoIngested
from schemas.video import EffectRequest, Video, VideoMetadata
from subjects import build
from subjects.topology import ACK_WAIT_S, DLQ, EVT, STREAMS, Consumer, Topology

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOW_S: Final = 1.5
IN_FLIGHT: Final = 64
"""Messages a candidate works on at once."""

_SLOW: Final = "slow"


def sample(number: int, *, slow: bool = False) -> VideoIngested:
    """Return one of many different events, about as large as the platform's are."""
    tenant = tenant_of(1)
    return VideoIngested(
        event_id=EventId(f"evt_{_SLOW if slow else 'quick'}{number:018d}"),
        timestamp=NOON,
        correlation_id=JobId(f"job_{number:022d}"),
        tenant_id=tenant,
        payload=Video(
            video_id=VideoId("vid_01k9qv3m5n7p2r4s6t8v0w"),
            user_id=UserId("usr_01k9qv3m5n7p"),
            tenant_id=tenant,
            source_uri="s3://intake/raw/hop1/vid_01k9qv3m5n7p2r4s6t8v0w",
            normalized_uri="s3://intake/normalized/hop1/vid_01k9qv3m5n7p2r4s6t8v0w.mp4",
            metadata=VideoMetadata(
                duration_ms=7600,
                resolution="720x404",
                fps=25.0,
                codec="h264",
                file_size_bytes=4_500_000,
                frame_count=190,
            ),
            request=EffectRequest(effect_type="color_correction"),
        ),
    )


def answer(heard: VideoIngested, stage: int) -> VideoIngested:
    """Return what a stage says: the next stage hears it."""
    header = follow(heard, VideoIngested, at=heard.timestamp)
    header["tenant_id"] = tenant_of(stage + 1)
    return VideoIngested(**header, payload=heard.payload)


def is_slow(heard: VideoIngested) -> bool:
    """Say whether a handler is to take ``SLOW_S`` for it."""
    return heard.event_id.startswith(_SLOW, 4)


def tenant_of(stage: int) -> TenantId:
    """Return whose messages a stage hears."""
    return TenantId(f"hop{stage}")


def subject_of(said: VideoIngested) -> str:
    """Return the subject of a message, spelt without checks, as a peer would spell it."""
    return f"evt.video_intake.VideoIngested.{said.tenant_id}.{said.correlation_id}"


def subject_heard(stage: int) -> str:
    """Return what a stage subscribes to."""
    return f"evt.video_intake.VideoIngested.{tenant_of(stage)}.*"


def durable_of(stage: int) -> str:
    """Return the name of a stage's consumer."""
    return f"stage-{stage}"


def topology(stages: int, *, ack_wait_s: int = ACK_WAIT_S) -> Topology:
    """Return the platform's streams of facts and dead letters, and a consumer for each stage."""
    consumers = tuple(
        Consumer(
            stream=EVT,
            name=durable_of(stage),
            filters=(subject_heard(stage),),
            description="a stage",
            ack_wait_s=ack_wait_s,
            max_ack_pending=4 * IN_FLIGHT,
        )
        for stage in range(1, stages + 1)
    )
    streams = tuple(each for each in STREAMS if each.name in (EVT, DLQ))
    return Topology(streams=streams, consumers=consumers, buckets=())


MODULE: Final = Module.VIDEO_INTAKE
DECODER: Final = msgspec.json.Decoder(VideoIngested)
ENCODER: Final = msgspec.json.Encoder()

assert subject_of(sample(1)) == build.subject_of(sample(1)), "everybody speaks about one subject"
