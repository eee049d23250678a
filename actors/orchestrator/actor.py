"""The shell around the saga: finds the route, asks the core, says nothing itself."""

from __future__ import annotations

from functools import partial
from typing import Final

from actors.orchestrator import core
from actors.orchestrator.batch import CANDIDATES_LIMIT, SHADOW, NoProvider, Routing
from actors.orchestrator.ports import Routes, Slots
from actors.runtime.contract import Clock, GiveUp, Step, TryLater
from economics.errors import NoRouteError
from economics.routing import recommend
from schemas.base import Message
from schemas.commands import CancelJob, StartJob, Wake
from schemas.jobs import Job
from schemas.routing import ProviderRecommendation

ROUTE_RETRY_S: Final = 5.0
START_RETRY_S: Final = 1.0


class Orchestrator:
    """Module 5: leads a job from the order to its ending.

    Hears:    StartJob, CancelJob, its own timers, and the facts of the other modules
    Says:     JobStarted, TestBatchDispatched, BestResultSelected, ApprovalRequested, JobEnded,
              orders to Video Intake, Execution and the Economic Engine, progress
    Owns:     the record of each job
    Repeats:  harmless; a job that has heard a message is not changed by it again
    """

    state_type = Job

    def __init__(self, *, routes: Routes, slots: Slots, key: bytes, clock: Clock) -> None:
        self._routes = routes
        self._slots = slots
        self._key = key
        self._clock = clock

    def key(self, heard: Message) -> str:
        """Return the job a message is about."""
        return heard.correlation_id

    async def step(self, state: Job | None, heard: Message) -> Step[Job] | None:
        """Decide what a message does to a job.

        An order that excludes every provider ends its job as soon as a route is wanted.

        Raises:
            TryLater: there is no route yet, or a job is cancelled that has not started.
            GiveUp: an order contradicts its own envelope.
        """
        if state is None and isinstance(heard, CancelJob):
            raise TryLater(f"{heard.correlation_id} has not started", retry_after=START_RETRY_S)
        if state is None and isinstance(heard, StartJob):
            _check(heard)
        routing = None
        if state is not None and core.wants_route(state, heard):
            routing = await self._route(state, heard)
        return core.decide(state, heard, at=self._clock.now(), routing=routing)

    async def _route(self, job: Job, heard: Message) -> Routing | None:
        """Return the providers to try. At the deadline no route is an answer too."""
        try:
            return await self._recommended(job, heard)
        except NoRouteError as none:
            if none.permanent:
                return NoProvider(str(none))
            if isinstance(heard, Wake):
                return None
            raise TryLater(str(none), retry_after=ROUTE_RETRY_S) from none

    async def _recommended(self, job: Job, heard: Message) -> ProviderRecommendation:
        order = job.order
        manifest = self._routes.manifest()
        if manifest is None:
            raise NoRouteError(order.effect_type, "no manifest was published yet")
        recommended = partial(
            recommend,
            manifest,
            core.request_of(core.briefed(job, heard)),
            job_id=order.job_id,
            key=self._key,
            only=order.providers,
            limit=CANDIDATES_LIMIT,
        )
        # a job that nobody may try must not take a number, perhaps that of an explored slot
        recommended(number=0)
        number = await self._slots.number(order.effect_type, order.job_id)
        routing = recommended(number=number)
        if all(one.role == SHADOW for one in routing.recommended_providers):
            raise NoRouteError(order.effect_type, "every provider is on shadow")
        return routing


def _check(heard: StartJob) -> None:
    order = heard.payload
    said = (order.job_id, order.tenant_id)
    if said != (heard.correlation_id, heard.tenant_id):
        raise GiveUp(f"an order for {said} came for {heard.correlation_id}, {heard.tenant_id}")
