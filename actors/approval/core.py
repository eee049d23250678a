"""What a user is told, in which words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.base import JobId
from schemas.events import Decision, Notice
from schemas.jobs import JobEnding, JobState, Published, Selection

IN_APP: Final = "in_app"
"""The channel that is always there."""

_REFUNDED: Final = "Nothing was charged; held tokens go back to your wallet."

_HEADLINES: Final[Mapping[JobState, str]] = {
    JobState.ANALYSIS_FAILED: "Your clip could not be used",
    JobState.EXECUTION_FAILED: "No provider could make your effect",
    JobState.QUOTA_EXCEEDED: "You do not have enough tokens for this effect",
    JobState.CANCELLED: "Your job was cancelled",
    JobState.TIMED_OUT: "Your job took too long and was stopped",
}
"""The endings a user is told of here. A rejection is told with the admin's words, and a complete
job was told of when it was published."""

_NEXT: Final[Mapping[JobState, str]] = {
    JobState.ANALYSIS_FAILED: "Upload the clip again in another format or length.",
    JobState.EXECUTION_FAILED: "Order the effect again later, or choose another one.",
    JobState.QUOTA_EXCEEDED: "Top up your wallet, then order the effect again.",
    JobState.CANCELLED: "Order the effect again whenever you like.",
    JobState.TIMED_OUT: "Order the effect again; if it happens twice, tell support the job's id.",
}

_NEXT_BY_CODE: Final[Mapping[str, str]] = {
    "NO_PROVIDER": "Name other providers, raise the budget or choose another effect.",
}
"""Where the code of an ending tells more than its state."""


def result_ready(job_id: JobId, selection: Selection) -> Notice:
    """Step 10: a result was chosen, and an admin looks at it next."""
    effect = _readable(selection.effect_type)
    return Notice(
        user_id=selection.user_id,
        kind="result_ready",
        channel=IN_APP,
        subject=f"Your {effect} is ready",
        body=f"{selection.comparison_summary} An admin decides about its publication next.",
        link=link_to(job_id),
    )


def rejected(job_id: JobId, decision: Decision) -> Notice:
    """Step 11, no: the admin's words, and what happens to the money."""
    effect = _readable(decision.selection.effect_type)
    reason = _sentence(decision.reason or "no reason was given")
    return Notice(
        user_id=decision.selection.user_id,
        kind="rejected",
        channel=IN_APP,
        subject=f"Your {effect} was not accepted for the gallery",
        body=f"{reason} {_REFUNDED} Order the effect again with another wish.",
        link=link_to(job_id),
    )


def published(where: Published) -> Notice:
    """Step 13: the effect is live."""
    return Notice(
        user_id=where.user_id,
        kind="published",
        channel=IN_APP,
        subject="Your effect is live in the gallery",
        body=f"Everybody can watch it at {where.gallery_url}.",
        link=where.gallery_url,
    )


def ended(job_id: JobId, ending: JobEnding) -> Notice | None:
    """Return what an ending means to the user, ``None`` when another notice tells it."""
    headline = _HEADLINES.get(ending.state)
    if headline is None:
        return None
    reason = _sentence(ending.reason or ending.code or "no reason was given")
    # a refused job never held anything
    money = "Nothing was charged." if ending.state is JobState.QUOTA_EXCEEDED else _REFUNDED
    return Notice(
        user_id=ending.user_id,
        kind=ending.state.lower(),
        channel=IN_APP,
        subject=headline,
        body=f"{reason} {money} {_NEXT_BY_CODE.get(ending.code, _NEXT[ending.state])}",
        link=link_to(job_id),
    )


def link_to(job_id: JobId) -> str:
    """Return the path of a job's page."""
    return f"/#/jobs/{job_id}"


def _readable(effect_type: str) -> str:
    return effect_type.replace("_", " ") or "effect"


def _sentence(text: str) -> str:
    """Return text as a sentence of its own."""
    stripped = text.strip().rstrip(".")
    return stripped[:1].upper() + stripped[1:] + "."
