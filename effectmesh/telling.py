"""Each event as a line that a person reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.base import MICRO

Body = Mapping[str, Any]

STEP_OF: Final[Mapping[str, int]] = {
    "VideoIngested": 1,
    "VideoRejected": 1,
    "ContentAnalyzed": 2,
    "AnalysisFailed": 2,
    "PromptsGenerated": 3,
    "TestBatchDispatched": 5,
    "TaskSucceeded": 6,
    "TaskFailed": 6,
    "QualityEvaluated": 7,
    "BestResultSelected": 9,
    "ApprovalRequested": 11,
    "AdminApproved": 11,
    "AdminRejected": 11,
    "EffectPublished": 12,
}
"""The step of the specification's user flow that an event belongs to."""

HAPPY_PATH: Final = (
    "VideoIngested",
    "ContentAnalyzed",
    "PromptsGenerated",
    "TestBatchDispatched",
    "TaskSucceeded",
    "QualityEvaluated",
    "BestResultSelected",
    "AdminApproved",
    "EffectPublished",
)
"""The events of the happy path in the order in which the first of each must come."""


def step_of(event_type: str, body: Body) -> int | None:
    """Return an event's step, or nothing when the specification numbers none."""
    if event_type == "UserNotified":
        return 13 if body["payload"]["kind"] == "published" else 10
    return STEP_OF.get(event_type)


def tell(event_type: str, body: Body) -> str:
    """Return what happened, in a few words."""
    teller = _TELLERS.get(event_type)
    return teller(body.get("payload") or {}) if teller else ""


def tokens(micro: int) -> str:
    """Return micro-tokens as tokens, without a digit too many.

    >>> tokens(8_000_000), tokens(1_234_567), tokens(-500)
    ('8', '1.234567', '-0.0005')
    """
    sign = "-" if micro < 0 else ""
    whole, part = divmod(abs(micro), MICRO)
    digits = f"{part:06d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def size(count: int) -> str:
    """Return a number of bytes for people.

    >>> size(900), size(4_573_184)
    ('900 B', '4.6 MB')
    """
    for unit, scale in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def percent(share: float | None) -> str:
    """Return a share for people, ``none`` for nothing.

    >>> percent(0.7123), percent(None)
    ('71.2 %', 'none')
    """
    return "none" if share is None else f"{100 * share:.1f} %"


def _started(payload: Body) -> str:
    subtype = payload.get("effect_subtype") or "any look"
    return f"{payload['effect_type']} ({subtype}) ordered by {payload['user_id']}"


def _held(payload: Body) -> str:
    return f"{tokens(payload['amount_microtokens'])} tokens reserved"


def _ingested(payload: Body) -> str:
    seen = payload["metadata"]
    seconds = seen["duration_ms"] / 1000
    sound = "sound" if seen.get("has_audio") else "no sound"
    frames = f"{seen.get('frame_count', 0)} frames at {seen['fps']:g} fps"
    return f"{seen['resolution']} {seen['codec']}, {seconds:.1f} s, {frames}, {sound}"


def _refused(payload: Body) -> str:
    return f"{payload['code']}: {payload['reason']}"


def _analyzed(payload: Body) -> str:
    seen = payload["analysis"]
    cuts = len(seen["scenes"]) - 1
    kinds = ", ".join(seen.get("eligible_effect_types", ()))
    return f"{cuts} cuts, {seen['dominant_style']}, {seen['motion_pattern']}; fit for {kinds}"


def _prompted(payload: Body) -> str:
    variants = payload["prompt_variants"]
    fallback = " from the generic template" if payload.get("fallback_used") else ""
    first = variants[0]["prompt_text"] if variants else ""
    return f"{len(variants)} variants{fallback}, first: {first}"


def _dispatched(payload: Body) -> str:
    tasks = ", ".join(
        each["provider_id"] + (f" ({each['role']})" if each.get("role") else "")
        for each in payload["tasks"]
    )
    mode = "exploring" if payload["exploration_mode"] else "no exploration"
    return f"{tasks}; manifest {payload['manifest_version']}, {mode}"


def _attempted(payload: Body) -> str:
    outcome = "delivered" if payload["succeeded"] else f"failed: {payload.get('error_code')}"
    return f"attempt {payload['attempt']} on {payload['host']} {outcome}"


def _delivered(payload: Body) -> str:
    used = payload["execution_telemetry"]
    seconds = used["actual_duration_ms"] / 1000
    cost = tokens(used.get("cost_microtokens", 0))
    return f"{payload['provider_id']} in {seconds:.1f} s, cost {cost} tokens"


def _failed(payload: Body) -> str:
    return f"{payload['provider_id']}: {payload['error_code']} after {payload['attempts']} attempts"


def _judged(payload: Body) -> str:
    if payload.get("quality") == "unknown":
        return f"{payload.get('provider_id', '')}: unknown, {payload.get('reason', '')}"
    rank = f"rank {payload['comparative_rank']} of {payload['total_candidates']} so far"
    return f"{payload.get('provider_id', '')} {payload['composite_score']:.3f}, {rank}"


def _selected(payload: Body) -> str:
    return str(payload["comparison_summary"])


def _requested(payload: Body) -> str:
    return f"{payload['winning_provider_id']} waits for an admin"


def _notified(payload: Body) -> str:
    return f"{payload['user_id']} told by {payload['channel']}: {payload['subject']}"


def _decided(payload: Body) -> str:
    reason = payload.get("reason")
    return f"by {payload['decided_by']}" + (f": {reason}" if reason else "")


def _published(payload: Body) -> str:
    revision = payload.get("revision", 1)
    return f"{payload['effect_id']} revision {revision} at {payload['gallery_url']}"


def _charged(payload: Body) -> str:
    charged, cost = payload["amount_microtokens"], payload["cost_microtokens"]
    margin = percent(payload["marginality"])
    return f"{tokens(charged)} tokens charged, {tokens(cost)} spent, margin {margin}"


def _released(payload: Body) -> str:
    return f"{tokens(payload['amount_microtokens'])} tokens back: {payload['reason']}"


def _late(payload: Body) -> str:
    cost = tokens(payload["cost_microtokens"])
    return f"{payload['provider_id']}: attempt {payload['attempt']} cost {cost} tokens all the same"


def _aside(payload: Body) -> str:
    return f"{payload['host']} stands aside until {payload['until']}: {payload['reason']}"


def _quota(payload: Body) -> str:
    needed, there = payload["required_microtokens"], payload["available_microtokens"]
    return f"{payload['reason']}: {tokens(needed)} needed, {tokens(there)} available"


def _ended(payload: Body) -> str:
    reason = payload.get("reason")
    return f"{payload['state']}" + (f": {reason}" if reason else "")


_TELLERS: Final[Mapping[str, Callable[[Body], str]]] = {
    "JobStarted": _started,
    "TokensHeld": _held,
    "VideoIngested": _ingested,
    "VideoRejected": _refused,
    "ContentAnalyzed": _analyzed,
    "AnalysisFailed": _refused,
    "PromptsGenerated": _prompted,
    "TestBatchDispatched": _dispatched,
    "AttemptFinished": _attempted,
    "LateAttemptPriced": _late,
    "HostQuarantined": _aside,
    "TaskSucceeded": _delivered,
    "TaskFailed": _failed,
    "QualityEvaluated": _judged,
    "BestResultSelected": _selected,
    "ApprovalRequested": _requested,
    "UserNotified": _notified,
    "AdminApproved": _decided,
    "AdminRejected": _decided,
    "EffectPublished": _published,
    "TokensCharged": _charged,
    "TokensReleased": _released,
    "UserQuotaExceeded": _quota,
    "JobEnded": _ended,
}
