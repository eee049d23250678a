"""Encoding and decoding the sample event, typed and checked, compared with pydantic."""

from __future__ import annotations

import timeit
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks import sample
from benchmarks.results import Outcome, Seen, ratios, row
from benchmarks.running import ROUNDS, spread

NUMBER: Final = 20_000


class Model(BaseModel):
    """What cannot be changed, as our messages."""

    model_config = ConfigDict(frozen=True)


class Metadata(Model):
    """As ``schemas.video.VideoMetadata``."""

    duration_ms: int = Field(ge=0)
    resolution: str
    fps: float
    codec: str
    file_size_bytes: int
    frame_count: int = 0
    has_audio: bool = False
    content_hash: str = ""


class Request(Model):
    """As ``schemas.video.EffectRequest``."""

    effect_type: str
    effect_subtype: str = ""
    wish: str = ""


class Video(Model):
    """As ``schemas.video.Video``."""

    video_id: str
    user_id: str
    tenant_id: str
    source_uri: str
    normalized_uri: str
    metadata: Metadata
    poster_uri: str = ""
    request: Request | None = None


class Ingested(Model):
    """As ``schemas.events.VideoIngested``."""

    event_type: Literal["VideoIngested"]
    event_id: str = ""
    timestamp: datetime
    correlation_id: str = ""
    tenant_id: str = ""
    cause_id: str = ""
    payload: Video


def run() -> Outcome:
    """Time both in turn, several times."""
    event = sample.sample(1)
    body = sample.ENCODER.encode(event)
    model = Ingested.model_validate_json(body)
    ours: dict[str, list[float]] = {"encode": [], "decode": []}
    theirs: dict[str, list[float]] = {"encode": [], "decode": []}
    for _ in range(ROUNDS):
        ours["encode"].append(_ns(lambda: sample.ENCODER.encode(event)))
        theirs["encode"].append(_ns(model.model_dump_json))
        ours["decode"].append(_ns(lambda: sample.DECODER.decode(body)))
        theirs["decode"].append(_ns(lambda: Ingested.model_validate_json(body)))
    both = [
        [one + other for one, other in zip(each["encode"], each["decode"], strict=True)]
        for each in (ours, theirs)
    ]
    seen = [
        Seen(what=f"{who} {what}", wall=spread(values, "ns"), remark=f"{len(body)} bytes")
        for who, found in (("msgspec", ours), ("pydantic", theirs))
        for what, values in found.items()
    ]
    return Outcome(rows=[row("codec.roundtrip", ratios(*both), peer=both[1])], seen=seen)


def _ns(call: Any) -> float:
    return timeit.timeit(call, number=NUMBER) / NUMBER * 1e9
