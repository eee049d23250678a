"""One prompt on one host, from submission to its end.

Two ways of knowing run side by side. The socket tells at once what happens, but it may be deaf, may
break, and forgets what it could not deliver; so it only gives progress, node times and a nudge.
What the prompt became is asked for: every few seconds, and whenever the socket nudges. A prompt
that nobody knows any more was lost with its host.

The prompt id is ours. Whoever comes back with it after a crash finds the prompt and goes on
following it, instead of rendering it twice.

``stopping`` has what is done about a prompt that is to stop and does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Final

import anyio
from msgspec import Struct

from gpu_agent import wire
from gpu_agent.comfy import ComfyHost
from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.pictures import preview
from gpu_agent.providers.graphs import Graph
from gpu_agent.stopping import Stopping
from gpu_agent.timing import Advance, Track
from gpu_agent.wire import OVER, OutputFile, Phase, PromptState
from schemas.tasks import NodeTiming

_LAST_WORD_S: Final = 3.0
"""How long a prompt is told to stop when we ourselves are being stopped."""

_MAY_STILL_RUN: Final = frozenset({Fault.HOST_UNREACHABLE, Fault.HOST_ERROR})
"""After these nobody knows whether the host has the prompt; it must not render for nobody."""
_WORTH_ANOTHER_TRY: Final = _MAY_STILL_RUN | {Fault.THROTTLED}

Hear = Callable[[Advance], None]
Show = Callable[[bytes], None]


class Rendered(Struct, frozen=True, kw_only=True):
    """A finished prompt: the files of each output node, and what it used."""

    outputs: dict[str, tuple[OutputFile, ...]]
    gpu_seconds: float
    queue_wait_ms: int
    nodes: tuple[NodeTiming, ...]
    adopted: bool = False
    """It was on the host already when we came."""
    cached: bool = False
    """Its times teach nobody what such a run takes."""


class Told(Struct, frozen=True, kw_only=True):
    """What is known of a run beforehand, and said to the host with it."""

    expected_ms: Mapping[str, float] = {}
    """By node: what earlier runs took."""
    loaders: Collection[str] = ()
    """The nodes that load models."""
    extra: Mapping[str, object] = {}
    """Of the submission, for anybody to read: no secret, no prompt."""


async def render(
    host: ComfyHost,
    graph: Graph,
    *,
    prompt_id: str,
    timeout_s: float,
    stop: anyio.Event,
    hear: Hear,
    show: Show | None = None,
    told: Told | None = None,
) -> Rendered:
    """Run a graph and return its outputs.

    Raises:
        RenderFailedError: with what the prompt used up to then.
    """
    told = told or Told()
    run = _Run(
        host=host, graph=graph, prompt_id=prompt_id, stop=stop, hear=hear, show=show, told=told
    )
    try:
        return await run.to_the_end(timeout_s)
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(_LAST_WORD_S, shield=True):
            await host.cancel(prompt_id)
        raise


class _Run:
    """The state of one pursuit."""

    def __init__(
        self,
        *,
        host: ComfyHost,
        graph: Graph,
        prompt_id: str,
        stop: anyio.Event,
        hear: Hear,
        show: Show | None,
        told: Told,
    ) -> None:
        self._host = host
        self._limits = host.limits
        self._graph = graph
        self._prompt_id = prompt_id
        self._stop = stop
        self._hear = hear
        self._show = show
        self._told = told
        # whoever knows a client id can take its stream over, so nobody can derive it
        self._client_id = secrets.token_hex(16)
        classes = {name: str(node.get("class_type")) for name, node in graph.items()}
        self._track = Track(prompt_id=prompt_id, classes=classes, expected_ms=told.expected_ms)
        self._stopping = Stopping(host=host, prompt_id=prompt_id)
        self._nudge = anyio.Event()
        self._ready = anyio.Event()
        now = anyio.current_time()
        self._last_frame = now
        self._submitted = now
        self._last_answer = now
        self._until = now
        self._adopted = False
        self._unknown = 0
        self._listening: anyio.CancelScope | None = None

    async def to_the_end(self, timeout_s: float) -> Rendered:
        """Submit, unless the prompt is there already, and follow."""
        self._until = anyio.current_time() + timeout_s
        outcome: Rendered | RenderFailedError
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            group.start_soon(self._relay_stop)
            try:
                # the first messages can come before the answer to the submission
                with anyio.move_on_after(self._limits.connect_s):
                    await self._ready.wait()
                await self._submit()
                outcome = await self._follow()
            except RenderFailedError as failed:
                outcome = failed
                outcome.adopted = self._adopted
                if failed.code in _MAY_STILL_RUN:
                    await self._host.cancel(self._prompt_id)
            group.cancel_scope.cancel()
        if isinstance(outcome, RenderFailedError):
            raise outcome
        return outcome

    async def _submit(self) -> None:
        """Queue the graph, unless it is there. A submission that failed may have been heard."""
        failed: RenderFailedError | None = None
        for failures in range(self._limits.tries):
            if failures and failed is not None:
                await self._rest(failed, failures)
            found = await self._host.state(self._prompt_id)
            self._submitted = anyio.current_time()
            if found.phase in {Phase.PENDING, Phase.RUNNING, Phase.DONE}:
                self._adopted = not failures
                return
            if found.phase is not Phase.UNKNOWN:
                # the end of an earlier run of this attempt would be taken for the end of this one
                await self._host.forget(self._prompt_id)
            try:
                await self._host.submit(
                    self._graph,
                    prompt_id=self._prompt_id,
                    client_id=self._client_id,
                    extra=self._told.extra,
                )
            except RenderFailedError as refused:
                failed = refused
                if refused.code not in _WORTH_ANOTHER_TRY:
                    raise
            else:
                return
        if failed is not None:
            raise failed

    async def _rest(self, failed: RenderFailedError, failures: int) -> None:
        """Leave the host alone for as long as it wants, unless nobody waits for the run by then."""
        pause = self._limits.retry_s * 2.0 ** (failures - 1)
        if failed.retry_after_s is not None:
            pause = failed.retry_after_s
        if pause > min(self._limits.retry_after_s, self._until - anyio.current_time()):
            raise failed
        with anyio.move_on_after(pause):
            await self._stop.wait()
            raise RenderFailedError(Fault.CANCELLED, "the job was cancelled")

    async def _follow(self) -> Rendered:
        """Ask until the prompt is over, lost, or not worth waiting for."""
        self._last_answer = anyio.current_time()
        while True:
            await self._end_in_time()
            state = await self._ask()
            if state is not None and state.phase in OVER:
                return self._concluded(state)
            if self._unknown >= self._limits.unknown_polls:
                raise self._vanished()
            if self._stopping.over:
                failed = self._ended(state)
                failed.stuck = state is not None and state.phase is Phase.RUNNING
                raise failed
            self._check_hearing(state)
            await self._pause()

    async def _end_in_time(self) -> None:
        """Ask the host to stop when the job is cancelled or the time is up."""
        late = anyio.current_time() >= self._until
        if self._stop.is_set() or late:
            await self._stopping.press(Fault.CANCELLED if self._stop.is_set() else Fault.TIMED_OUT)

    async def _ask(self) -> PromptState | None:
        """Return the prompt's state; ``None`` while the host does not answer."""
        try:
            state = await self._host.state(self._prompt_id)
        except RenderFailedError as failed:
            if anyio.current_time() - self._last_answer < self._limits.unreachable_s:
                return None
            raise self._metered(self._stopping.why or failed.code, failed.why, None) from failed
        self._last_answer = anyio.current_time()
        self._unknown = self._unknown + 1 if state.phase is Phase.UNKNOWN else 0
        return state

    def _concluded(self, state: PromptState) -> Rendered:
        if self._stopping.why is not None:
            # it may have succeeded after all: nothing stops a prompt that is saving its file
            raise self._ended(state)
        if state.phase is Phase.INTERRUPTED:
            raise self._metered(Fault.LOST, "somebody else stopped it on its host", state)
        if state.phase is Phase.FAILED:
            code, why = wire.failure(state.error)
            raise self._metered(code, why, state)
        self._track.cached.update(state.cached)
        return Rendered(
            outputs=state.outputs,
            gpu_seconds=self._occupied_ms(state) / 1000,
            queue_wait_ms=self._waited_ms(state),
            nodes=self._timings(state),
            adopted=self._adopted,
            cached=self._track.mostly_cached(apart_from=self._told.loaders),
        )

    def _vanished(self) -> RenderFailedError:
        if self._stopping.why is not None:
            return self._ended(None)
        return self._metered(Fault.LOST, "the host forgot the prompt; it was restarted", None)

    def _ended(self, state: PromptState | None) -> RenderFailedError:
        why = self._stopping.why or Fault.CANCELLED
        return self._metered(why, _WHY[why], state)

    def _metered(self, code: Fault, why: str, state: PromptState | None) -> RenderFailedError:
        return RenderFailedError(
            code,
            why,
            gpu_seconds=self._occupied_ms(state) / 1000,
            queue_wait_ms=self._waited_ms(state),
            nodes=self._timings(state),
        )

    def _timings(self, state: PromptState | None) -> tuple[NodeTiming, ...]:
        return self._track.timings(occupied_ms=self._occupied_ms(state), now=anyio.current_time())

    def _occupied_ms(self, state: PromptState | None) -> int:
        """Return how long the prompt had the host: by the host's clock, else by ours."""
        if state and state.started_ms is not None and state.ended_ms is not None:
            return max(state.ended_ms - state.started_ms, 0)
        began = self._track.started_at
        if began is None:
            return 0
        return round(((self._track.ended_at or anyio.current_time()) - began) * 1000)

    def _waited_ms(self, state: PromptState | None) -> int:
        if state and state.created_ms is not None and state.started_ms is not None:
            return max(state.started_ms - state.created_ms, 0)
        began = self._track.started_at
        return round(max(began - self._submitted, 0.0) * 1000) if began is not None else 0

    async def _pause(self) -> None:
        """Wait for the next poll, a nudge, or the deadline."""
        now = anyio.current_time()
        until = self._stopping.next_at if self._stopping.why else self._until
        with anyio.move_on_after(max(min(self._limits.poll_s, until - now), 0.0)):
            await self._nudge.wait()
        self._nudge = anyio.Event()

    def _check_hearing(self, state: PromptState | None) -> None:
        """Open the socket anew when it says nothing about a prompt that runs."""
        silent = anyio.current_time() - self._last_frame
        if state and state.phase is Phase.RUNNING and silent > self._limits.deaf_s:
            self._last_frame = anyio.current_time()
            if self._listening is not None:
                self._listening.cancel()

    async def _relay_stop(self) -> None:
        await self._stop.wait()
        self._nudge.set()

    async def _listen(self) -> None:
        """Keep a socket open until cancelled; the old one is closed before the next is opened."""
        while not self._track.over:
            with anyio.CancelScope() as self._listening:
                try:
                    async with self._host.listen(self._client_id) as socket:
                        self._ready.set()
                        async for frame in socket:
                            self._take(frame)
                except OSError:
                    pass  # what the prompt became is asked for anyway
            await anyio.sleep(self._limits.reconnect_s)

    def _take(self, frame: str | bytes) -> None:
        self._last_frame = anyio.current_time()
        if isinstance(frame, bytes):
            picture = preview(frame)
            if picture is not None and self._show is not None:
                self._show(picture)
            return
        heard = wire.event(frame)
        if heard is None:
            return
        advance = self._track.update(*heard, anyio.current_time())
        if advance is not None:
            self._hear(advance)
        if self._track.over:
            self._nudge.set()


_WHY: Final = {
    Fault.CANCELLED: "the job was cancelled",
    Fault.TIMED_OUT: "the render took longer than it may",
}
