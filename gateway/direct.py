"""Uploads that go from the browser straight to the store, by URLs that the gateway signs.

Nothing is remembered here: the address follows from the caller's tenant and the video's id, and the
store knows the upload. What arrives ends in the same judgement as any other upload.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from actors.runtime.contract import Clock
from actors.runtime.follow import new_id
from gateway.bodies import DirectPlanView, UploadView
from gateway.errors import Refusal, UploadTooLargeError, not_found
from gateway.identity import Caller, own_tenant
from gateway.ids import is_id
from gateway.settings import GatewaySettings
from gateway.uploads import Handover, empty_upload, raw_uri
from media.errors import MediaNotFoundError, StoreAwayError, UploadUnknownError
from media.store import DirectUploads, MediaStore, PartTag
from schemas.base import TenantId, VideoId

URL_SECONDS: Final = 900
"""How long the parts of one upload may take to arrive."""


STALE: Final = timedelta(days=1)
"""An upload whose URLs ended a day ago is not under way any more."""

_log = logging.getLogger("effectmesh.gateway")


class DirectDesk:
    """Plans direct uploads, and has judged what arrived."""

    def __init__(
        self,
        *,
        direct: DirectUploads | None,
        store: MediaStore,
        handover: Handover,
        clock: Clock,
        settings: GatewaySettings,
    ) -> None:
        self._direct = direct
        self._store = store
        self._handover = handover
        self._clock = clock
        self._limit = settings.max_upload_bytes

    async def sweep(self) -> None:
        """Forget what was planned long ago and never completed; its parts cost money for ever."""
        if self._direct is None:
            return
        try:
            await self._direct.abort_stale(before=self._clock.now() - STALE)
        except StoreAwayError as error:
            _log.info("stale uploads stay until the next start: %s", error)

    async def plan(self, caller: Caller, *, size: int) -> DirectPlanView:
        """Return where the parts of an upload of so many bytes are to be put.

        Raises:
            UploadTooLargeError: it is longer than allowed.
            Refusal: it is empty, or this store takes no direct uploads.
        """
        tenant_id, direct = own_tenant(caller), self._offered()
        if size < 1:
            raise empty_upload()
        if size > self._limit:
            raise UploadTooLargeError(self._limit)
        video_id = VideoId(new_id("vid", self._clock.now()))
        plan = await direct.begin(raw_uri(tenant_id, video_id), size=size, seconds=URL_SECONDS)
        return DirectPlanView(
            video_id=video_id,
            upload_id=plan.upload_id,
            part_bytes=plan.part_bytes,
            parts=plan.parts,
            expires_in_s=plan.seconds,
        )

    async def complete(
        self, caller: Caller, video_id: str, *, upload_id: str, parts: Sequence[PartTag]
    ) -> UploadView:
        """Put the parts together and have the video judged; repeating it gives the same answer.

        Raises:
            UploadTooLargeError: more arrived than is allowed; nothing was kept.
            Refusal: not all of it has arrived, or it is no usable video.
        """
        tenant_id, direct = own_tenant(caller), self._offered()
        known = _known(video_id)
        uri = raw_uri(tenant_id, known)
        try:
            await direct.complete(uri, upload_id=upload_id, parts=parts)
            size = await self._store.size(uri)
        except (UploadUnknownError, MediaNotFoundError) as error:
            raise _incomplete() from error
        if size > self._limit:
            await self._store.delete(uri)
            raise UploadTooLargeError(self._limit)
        return await self._handover.judge(known, caller)

    async def abort(self, caller: Caller, video_id: str, *, upload_id: str) -> None:
        """Forget an upload that is not complete.

        Raises:
            Refusal: this store takes no direct uploads, or that is no id.
        """
        tenant_id: TenantId = own_tenant(caller)
        uri = raw_uri(tenant_id, _known(video_id))
        await self._offered().abort(uri, upload_id=upload_id)

    def _offered(self) -> DirectUploads:
        if self._direct is None:
            raise Refusal(
                409,
                "DIRECT_UPLOADS_OFF",
                detail="this installation keeps its media on its own disk",
                hint="upload by POST /v1/uploads, or resumably by /v1/tus",
            )
        return self._direct


def _known(video_id: str) -> VideoId:
    if not is_id(video_id):
        raise not_found("UNKNOWN_UPLOAD", "upload", video_id)
    return VideoId(video_id)


def _incomplete() -> Refusal:
    return Refusal(
        409,
        "UPLOAD_INCOMPLETE",
        detail="the store does not have all parts of this upload",
        hint="put each part to its URL, then name every part with the ETag of the answer",
    )
