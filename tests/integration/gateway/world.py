"""A gateway over a bus that lives in memory. The fakes behave like the modules they stand for."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import msgspec
from litestar import Litestar
from msgspec import Struct

from actors.orchestrator.index import renders_of
from actors.runtime.contract import FrozenClock
from gateway.app import create_app, serve
from gateway.errors import BusUnavailableError
from gateway.identity import Role, TokenEntry, Tokens, hash_of
from gateway.settings import GatewaySettings
from media.local_store import LocalMediaStore
from media.local_urls import LocalUrls
from media.store import MediaStore
from schemas import asks
from schemas.base import JobId, Message, ProviderId, TenantId, UserId, VideoId, WorkflowId
from schemas.commands import CancelJob, DecideApproval, StartJob
from schemas.jobs import ENDINGS, Candidate, Job, JobState
from schemas.progress import JobProgressed
from schemas.routing import CostModel, EffectRoute, ProviderRecord, ProviderRoute
from schemas.tasks import render_uri
from tests.builders import NOON, execution_task, job_order, metadata, selection

T = TypeVar("T", bound=Struct)

CLIP = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 16
"""Enough of an mp4 for the fake intake, which looks at the first bytes only."""

ANN, BOB, ADA, OPS = "ann-token", "bob-token", "ada-token", "ops-token"
"""A user and an admin of one tenant, a user of another, the platform's operator."""
TENANT, OTHER = TenantId("tnt_1"), TenantId("tnt_2")


def bearer(token: str) -> dict[str, str]:
    """Return the header that signs a request in."""
    return {"Authorization": f"Bearer {token}"}


def tokens() -> Tokens:
    """Return the four people of these tests."""
    people = (
        (ANN, TENANT, "usr_ann", Role.USER),
        (ADA, TENANT, "usr_ada", Role.ADMIN),
        (BOB, OTHER, "usr_bob", Role.USER),
        (OPS, asks.ANY_TENANT, "usr_ops", Role.ADMIN),
    )
    return Tokens(
        TokenEntry(
            name=user, sha256=hash_of(token), tenant_id=tenant, user_id=UserId(user), role=role
        )
        for token, tenant, user, role in people
    )


class MemoryBus:
    """A broker and all ten modules, as far as the gateway can tell."""

    def __init__(self, store: MediaStore) -> None:
        self.store = store
        self.down = False
        self.takes_orders = True
        self.said: dict[str, Message] = {}
        self.uploads: dict[tuple[str, str], asks.UploadFound] = {}
        self.reviews: dict[str, asks.PendingReview] = {}
        self.jobs: dict[JobId, Job] = {}
        self.analysed: set[tuple[str, str]] = set()
        self.approvals: dict[JobId, asks.PendingApproval] = {}
        self.gallery: dict[str, asks.GalleryItem] = {}
        self.statements: dict[JobId, asks.Statement] = {}
        self.routes: dict[str, EffectRoute] = {"color_correction": _route("color_correction")}
        self.lines: dict[str, list[tuple[int, JobProgressed]]] = {}
        self._news = anyio.Event()
        self.watched: set[str] = set()
        self.judging, self.may_judge = anyio.Event(), anyio.Event()
        self.may_judge.set()

    async def publish(self, said: Message) -> None:
        """Store once by event id, and do what was asked."""
        if self.down:
            raise BusUnavailableError("publish")
        if said.event_id in self.said:
            return
        self.said[said.event_id] = said
        if isinstance(said, StartJob) and self.takes_orders:
            self.jobs.setdefault(
                said.correlation_id,
                Job(order=said.payload, state=JobState.INGESTED, created_at=NOON, updated_at=NOON),
            )
        if isinstance(said, CancelJob):
            self.change(said.correlation_id, state=JobState.CANCELLED)
        if isinstance(said, DecideApproval):
            known = self.approvals[said.correlation_id]
            if known.state == "pending":
                self.approvals[said.correlation_id] = msgspec.structs.replace(
                    known,
                    state="approved" if said.payload.approve else "rejected",
                    decided_by=said.payload.decided_by,
                    reason=said.payload.reason,
                )

    async def ask(self, question: Struct, answer: type[T], *, timeout: float = 5.0) -> T:
        """Answer from the dictionaries."""
        if self.down:
            raise BusUnavailableError("ask")
        told = await self._answer(question)
        assert isinstance(told, answer)
        return told

    @asynccontextmanager
    async def follow_progress(
        self, tenant_id: str, job_id: str, *, after: int = 0
    ) -> AsyncIterator[AsyncIterator[tuple[int, JobProgressed]]]:
        """Yield stored lines, then live ones."""
        if self.down:
            raise BusUnavailableError("follow")
        self.watched.add(job_id)
        try:
            yield self._lines(job_id, after)
        finally:
            self.watched.discard(job_id)

    def effects(self) -> Mapping[str, EffectRoute]:
        """Return the manifest's effects."""
        return self.routes

    def providers(self) -> Collection[str]:
        """Return every known provider."""
        return ("fx-warm-grade-v1", "fx-other-v1")

    def alive(self) -> bool:
        """Tell whether it answers."""
        return not self.down

    def change(self, job_id: JobId, **changes: object) -> None:
        """Change what the saga knows of a job."""
        self.jobs[job_id] = msgspec.structs.replace(self.jobs[job_id], **changes)

    def say(self, job_id: str, stage: str, **changes: object) -> None:
        """Say a line of progress."""
        lines = self.lines.setdefault(job_id, [])
        known: dict[str, Any] = {"timestamp": NOON, "stage": stage}
        lines.append((len(lines) + 1, JobProgressed(**(known | changes))))
        self._news.set()
        self._news = anyio.Event()

    async def _lines(self, job_id: str, after: int) -> AsyncIterator[tuple[int, JobProgressed]]:
        at = after
        while True:
            fresh = [entry for entry in self.lines.get(job_id, []) if entry[0] > at]
            for seq, line in fresh:
                at = seq
                yield seq, line
            if not fresh:
                await self._news.wait()

    async def _answer(self, question: Struct) -> Struct:
        match question:
            case asks.InspectUpload():
                return await self._inspect(question)
            case asks.FindUpload():
                empty = asks.UploadFound(video_id=question.video_id)
                return self.uploads.get((question.tenant_id, question.video_id), empty)
            case asks.DeleteUpload():
                key = question.tenant_id, question.video_id
                known = self.uploads.pop(key, None)
                if known is not None:
                    await self.store.delete(known.source_uri)
                return asks.UploadDeleted(video_id=question.video_id, found=known is not None)
            case asks.ForgetAnalysis():
                self.analysed.discard((question.tenant_id, question.content_hash))
                return asks.AnalysisForgotten(content_hash=question.content_hash)
            case asks.ListRenders():
                return self._renders(question)
            case asks.ListReviews():
                return asks.ReviewPage(
                    reviews=tuple(
                        one
                        for one in self.reviews.values()
                        if one.state == question.state and _sees(question.tenant_id, one.tenant_id)
                    )
                )
            case asks.DecideReview():
                held = self.reviews.get(question.video_id)
                if held is None or not _sees(question.tenant_id, held.tenant_id):
                    return asks.ReviewDecided(video_id=question.video_id)
                state = "normalized" if question.approve else "blocked"
                self.reviews[question.video_id] = msgspec.structs.replace(
                    held, state=state, decided_by=question.decided_by, note=question.note
                )
                return asks.ReviewDecided(video_id=question.video_id, state=state)
            case asks.FindJob():
                job = self.jobs.get(question.job_id)
                if job is None or not _sees(question.tenant_id, job.order.tenant_id):
                    return asks.JobFound()
                return asks.JobFound(job=job, revision=3)
            case asks.FindApproval():
                entry = self.approvals.get(question.job_id)
                seen = entry is not None and _sees(question.tenant_id, entry.tenant_id)
                return asks.ApprovalPage(approvals=(entry,) if entry and seen else ())
            case asks.ListApprovals():
                return asks.ApprovalPage(
                    approvals=tuple(
                        one
                        for one in self.approvals.values()
                        if one.state == question.state and _sees(question.tenant_id, one.tenant_id)
                    )
                )
            case asks.ListJobs():
                return asks.JobPage(jobs=())
            case asks.FindEffect():
                item = self.gallery.get(question.effect_id)
                return asks.GalleryPage(effects=(item,) if item else ())
            case asks.ListGallery():
                return asks.GalleryPage(effects=tuple(self.gallery.values()))
            case asks.ListProviders():
                return asks.ProviderPage(providers=(_provider(),))
            case asks.ReadStatement():
                return self.statements.get(question.job_id, asks.Statement(lines=()))
            case asks.ReadWallet():
                return asks.Wallet(
                    tenant_id=question.tenant_id,
                    available_microtokens=5,
                    held_microtokens=2,
                    spent_microtokens=1,
                )
            case asks.VerifyLedger():
                return asks.LedgerVerdict(entries=4, accounts=2)
            case asks.ReadMargins():
                return asks.Margins(rows=())
            case asks.ListNotifications():
                return asks.NotificationPage(notifications=())
        raise AssertionError(question)

    def _renders(self, question: asks.ListRenders) -> asks.RendersListed:
        """Answer for one job at a time, so that whoever asks once has not asked for all."""
        owner = question.tenant_id, question.video_id
        ids = sorted(
            job_id
            for job_id, job in self.jobs.items()
            if (job.order.tenant_id, job.order.video_id) == owner and job_id > question.after
        )
        if not ids:
            return asks.RendersListed()
        job = self.jobs[ids[0]]
        return asks.RendersListed(
            uris=renders_of(job),
            unfinished=() if job.state in ENDINGS else (ids[0],),
            next=ids[0] if ids[1:] else JobId(""),
        )

    async def _inspect(self, question: asks.InspectUpload) -> asks.UploadInspected:
        self.judging.set()
        await self.may_judge.wait()
        async with self.store.as_file(question.source_uri) as path:
            data = path.read_bytes()
        if data[4:8] != b"ftyp":
            return asks.UploadInspected(
                video_id=question.video_id,
                accepted=False,
                code="NOT_A_VIDEO",
                reason="the file holds no video",
                hint="send an mp4, mov, webm or mkv file",
            )
        measured = metadata(
            file_size_bytes=len(data), content_hash=hashlib.sha256(data).hexdigest()
        )
        self.uploads[question.tenant_id, question.video_id] = asks.UploadFound(
            video_id=question.video_id, source_uri=question.source_uri, metadata=measured
        )
        return asks.UploadInspected(video_id=question.video_id, accepted=True, metadata=measured)


class World:
    """A gateway's folders, bus and clock; what a restart does not lose."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.media = folder / "media"
        self.incoming = folder / "incoming"
        self.store = LocalMediaStore(root=self.media)
        self.bus = MemoryBus(self.store)
        self.clock = FrozenClock()
        self.settings = GatewaySettings(**settings)
        self.signed = LocalUrls(
            key=b"k" * 32, base_url="http://gateway/v1/signed", now=self.clock.now
        )
        self.stopping = anyio.Event()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[httpx.AsyncClient]:
        """Serve a gateway, stop it at the end; again for a restart."""
        app = self.app()
        told, heard = anyio.create_memory_object_stream[str](1)
        async with told, heard, anyio.create_task_group() as group:
            start: Callable[..., Any] = partial(
                serve, app, host="127.0.0.1", port=0, ready=told.send_nowait
            )
            group.start_soon(start)
            address = await heard.receive()
            async with httpx.AsyncClient(base_url=address, headers=bearer(ANN)) as client:
                yield client
            group.cancel_scope.cancel()
            self.stopping.set()

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[httpx.AsyncClient]:
        """Talk to a gateway without a server between, for what a server does not change."""
        transport = httpx.ASGITransport(app=self.app())
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers=bearer(ANN)
        ) as client:
            yield client

    def kept(self) -> Sequence[Path]:
        """Return every file in the media store and among the incoming ones."""
        folders = (self.media, self.incoming)
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    async def upload(self, client: httpx.AsyncClient, token: str = ANN) -> VideoId:
        """Upload the clip."""
        answer = await client.post("/v1/uploads", content=CLIP, headers=bearer(token))
        return VideoId(answer.json()["video_id"])

    async def rendered(
        self,
        video_id: VideoId,
        job_id: str,
        *,
        state: JobState = JobState.COMPLETE,
        tenant_id: TenantId = TENANT,
    ) -> Sequence[str]:
        """Have a job of a video render; return where its two attempts were stored."""
        task = execution_task(f"task_{job_id}")
        order = job_order(job_id=JobId(job_id), tenant_id=tenant_id, video_id=video_id)
        self.bus.jobs[order.job_id] = Job(
            order=order, state=state, candidates={task.task_id: Candidate(task=task)}
        )
        uris = [render_uri(task.task_id, attempt) for attempt in (1, 3)]
        clip = self.media.parent / "rendered.mp4"
        clip.write_bytes(CLIP)
        for uri in uris:
            await self.store.put_file(uri, clip, content_type="video/mp4")
        return uris

    def awaits_approval(self, job_id: str = "job_1", tenant_id: TenantId = TENANT) -> JobId:
        """Put a job into the approval queue."""
        found = JobId(job_id)
        self.bus.approvals[found] = asks.PendingApproval(
            job_id=found,
            tenant_id=tenant_id,
            state="pending",
            requested_at=NOON,
            selection=selection(),
        )
        return found

    def app(self) -> Litestar:
        """Return the application, not served."""
        return create_app(
            bus=self.bus,
            store=self.store,
            tokens=tokens(),
            uploads_dir=self.incoming,
            clock=self.clock,
            settings=self.settings,
            signed=self.signed,
        )


def _sees(tenant_id: str, owner: str) -> bool:
    return tenant_id in (owner, asks.ANY_TENANT)


def _route(effect_type: str) -> EffectRoute:
    return EffectRoute(
        effect_type=effect_type,
        default_provider_id=ProviderId("fx-warm-grade-v1"),
        providers=(
            ProviderRoute(
                provider_id=ProviderId("fx-warm-grade-v1"),
                workflow_id=WorkflowId("wf_warm_grade_v1"),
                lane="standard",
                weight=1.0,
                expected_cost_tokens=2,
                expected_cost_microtokens=2_000_000,
                expected_quality_score={"fidelity": 0.9},
                expected_duration_ms=3000,
                success_rate=1.0,
                confidence="high",
                reason="best_utility",
            ),
        ),
    )


def _provider() -> ProviderRecord:
    return ProviderRecord(
        provider_id=ProviderId("fx-warm-grade-v1"),
        display_name="Warm grade",
        adapter_class="data",
        config_path="",
        workflow_json_path="",
        capabilities=("video",),
        supported_effect_types=("color_correction",),
        node_dependencies=(),
        cost_model=CostModel(
            base_cost_per_frame=0.01, gpu_type_required="cpu", avg_gpu_seconds_per_frame=0.1
        ),
    )
