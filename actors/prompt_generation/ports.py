"""What Prompt Generation needs from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from actors.prompt_generation.core import Template, Variant
from actors.prompt_generation.history import Asked, Ended, Outcome, Pruned
from actors.prompt_generation.ranking import Ranking, Standing
from actors.prompt_generation.rewriting import Brief
from schemas.base import EventId, JobId, TenantId


class Templates(Protocol):
    """The words that can be asked with."""

    def all(self) -> tuple[Template, ...]:
        """Return every template; exactly one of them is generic."""
        ...

    def render(self, template: Template, variant: Variant, facts: Mapping[str, object]) -> str:
        """Return the words of one variant, without the user's.

        Raises:
            TemplateFailedError: the template is broken, or gives no words.
        """
        ...


class Rewriter(Protocol):
    """Says prompts in other words, or in the same."""

    @property
    def name(self) -> str:
        """Who it is, for the history; empty for one that changes nothing."""
        ...

    async def rewrite(self, brief: Brief) -> tuple[str, ...]:
        """Return as many prompts as the brief has, within a bounded time.

        Raises:
            RewriterFailedError: it did not, in time or at all.
        """
        ...


class Rankings(Protocol):
    """What templates have won. Looking never waits."""

    def current(self) -> Ranking:
        """Return the newest ranking that is here; an empty one before the first."""
        ...


class PromptHistory(Protocol):
    """What was asked, and how it ended. What is told twice changes nothing."""

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Asked | None:
        """Return what was asked because of an event."""
        ...

    async def record(self, asked: Asked) -> Asked:
        """Keep what is asked; return what is kept, the older one if there is one."""
        ...

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> Sequence[Asked]:
        """Return what was asked for a job, the oldest first, a bounded number of them."""
        ...

    async def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add what is known of renders. What was known before stays; the order does not matter."""
        ...

    async def end(self, ended: Ended) -> None:
        """Keep how a job ended; the first ending stays."""
        ...

    async def outcomes(self, tenant_id: TenantId, job_id: JobId) -> Sequence[Outcome]:
        """Return what is known of a job's renders, by task id."""
        ...

    async def standings(self, since: datetime) -> Sequence[Standing]:
        """Return what became of the jobs since a time, by template and version."""
        ...

    async def prune(self, *, asked: datetime, outcomes: datetime, limit: int) -> Pruned:
        """Forget what is older, at most ``limit`` of each."""
        ...
