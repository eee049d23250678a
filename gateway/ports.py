"""What the gateway needs from the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from schemas.base import Message
from schemas.progress import JobProgressed
from schemas.routing import EffectRoute

T = TypeVar("T", bound=Struct)

ASK_TIMEOUT_S: Final = 5.0
"""How long a module may take to answer."""


class Bus(Protocol):
    """The broker, as far as an edge sees it."""

    async def publish(self, said: Message) -> None:
        """Publish under the message's own subject and id; stored when this returns.

        Raises:
            BusUnavailableError: it was not stored.
        """
        ...

    async def ask(self, question: Struct, answer: type[T], *, timeout: float = ASK_TIMEOUT_S) -> T:
        """Return a module's answer to one of the questions of ``schemas.asks``.

        Raises:
            BusUnavailableError: the broker is away, or nobody answers this question.
            AskTimedOutError: no answer within ``timeout`` seconds.
        """
        ...

    def follow_progress(
        self, tenant_id: str, job_id: str, *, after: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[int, JobProgressed]]]:
        """Yield a job's progress, each line with its stream sequence.

        What is stored after ``after`` comes first, then what is said from now on.

        Raises:
            BusUnavailableError: the broker is away.
        """
        ...

    def effects(self) -> Mapping[str, EffectRoute]:
        """Return the routing manifest's effects by type, from the local copy; empty without one."""
        ...

    def providers(self) -> Collection[str]:
        """Return the ids of every known provider."""
        ...

    def alive(self) -> bool:
        """Tell whether the broker answers."""
        ...
