"""HTTP of uploads that go straight to the store."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from gateway.bodies import DirectCompleteBody, DirectPlanBody, DirectPlanView, UploadView
from gateway.direct import DirectDesk
from gateway.guards import SignedIn
from gateway.problems import PROBLEMS

Direct = NamedDependency[SkipValidation[DirectDesk]]
UploadId = Annotated[str, QueryParameter(name="upload_id", max_length=1024)]


@post("/direct-uploads", status_code=201, responses=PROBLEMS)
async def plan_direct(
    data: JSONBody[DirectPlanBody], caller: SignedIn, direct: Direct
) -> DirectPlanView:
    """Sign URLs, one for each part of a video, to which the browser puts it."""
    return await direct.plan(caller, size=data.size)


@post("/direct-uploads/{video_id:str}/complete", status_code=201, responses=PROBLEMS)
async def complete_direct(
    video_id: FromPath[str], data: JSONBody[DirectCompleteBody], caller: SignedIn, direct: Direct
) -> UploadView:
    """Put the parts together; the video is judged as any other upload."""
    return await direct.complete(caller, video_id, upload_id=data.upload_id, parts=data.parts)


@delete("/direct-uploads/{video_id:str}", status_code=204, responses=PROBLEMS)
async def abort_direct(
    video_id: FromPath[str], caller: SignedIn, direct: Direct, upload_id: UploadId = ""
) -> Response[None]:
    """Forget an upload that will not be completed."""
    await direct.abort(caller, video_id, upload_id=upload_id)
    return Response(None, status_code=204)


HANDLERS = (plan_direct, complete_direct, abort_direct)
