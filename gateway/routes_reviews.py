"""HTTP of admins who look at what screening held."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.bodies import ReviewBody
from gateway.errors import not_found
from gateway.guards import SignedIn, admins_only
from gateway.ids import is_id
from gateway.problems import PROBLEMS
from gateway.routes_jobs import Limit, TheBus
from schemas.asks import DecideReview, ListReviews, ReviewDecided, ReviewPage
from schemas.base import VideoId

WantedQueue = Annotated[Literal["held", "blocked"], QueryParameter(name="state")]


@get("/reviews", guards=[admins_only], responses=PROBLEMS)
async def list_reviews(
    caller: SignedIn, bus: TheBus, wanted: WantedQueue = "held", limit: Limit = 50
) -> ReviewPage:
    """List the uploads that wait for an admin, oldest first, or those that are blocked."""
    question = ListReviews(tenant_id=caller.tenant_id, state=wanted, limit=limit)
    return await bus.ask(question, ReviewPage)


@post("/reviews/{video_id:str}", guards=[admins_only], status_code=200, responses=PROBLEMS)
async def decide_review(
    video_id: FromPath[str], data: JSONBody[ReviewBody], caller: SignedIn, bus: TheBus
) -> ReviewDecided:
    """Let an upload go on, or block it; the answer says what it is now."""
    if is_id(video_id):
        question = DecideReview(
            video_id=VideoId(video_id),
            tenant_id=caller.tenant_id,
            decided_by=caller.user_id,
            approve=data.approve,
            note=data.note,
        )
        decided = await bus.ask(question, ReviewDecided)
        if decided.state:
            return decided
    raise not_found("UNKNOWN_VIDEO", "video", video_id)


HANDLERS = (list_reviews, decide_review)
