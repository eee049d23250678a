"""The questions about providers: what there is, what became of an order, would this work?"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from actors.provider_registry import core, fitting
from actors.provider_registry.changing import proof
from actors.provider_registry.importing import propose
from actors.provider_registry.ports import Fleet, Records
from actors.runtime.contract import Clock, GiveUp
from schemas.asks import (
    FindProvider,
    FindProviderChange,
    ImportProvider,
    ListProviders,
    ProviderChangeFound,
    ProviderFound,
    ProviderPage,
    ProviderProposal,
    ProviderValidated,
    ValidateProvider,
)
from schemas.routing import ProviderRecord


class RegistryAnswers:
    """Answers for the provider registry."""

    def __init__(self, *, records: Records, fleet: Fleet, clock: Clock) -> None:
        self._records = records
        self._fleet = fleet
        self._clock = clock

    async def answer(self, question: Struct) -> Struct:
        """Answer one question."""
        match question:
            case ListProviders():
                # with their graphs they could grow larger than an answer may be
                records = await self._records.current()
                return ProviderPage(providers=tuple(replace(each, graph={}) for each in records))
            case FindProvider():
                return await self._find(question)
            case FindProviderChange(change_id=change_id):
                return ProviderChangeFound(change=await self._records.find_change(change_id))
            case ImportProvider():
                return _propose(question)
            case ValidateProvider():
                return await self._validate(question)
        raise GiveUp(f"the registry does not answer {type(question).__name__}")

    async def _find(self, question: FindProvider) -> ProviderFound:
        provider_id = question.provider_id
        record = await self._records.find(provider_id, revision=question.revision)
        known = await self._records.known(provider_id)
        if record is None or known is None:
            return ProviderFound()
        able = self._fleet.able(provider_id)
        return ProviderFound(
            record=record,
            revisions=tuple(await self._records.revisions(provider_id)),
            changes=tuple(
                replace(each, faults=()) for each in await self._records.changes(provider_id)
            ),
            agents=tuple(each.agent_id for each in able),
            proven=proof(known, able),
        )

    async def _validate(self, question: ValidateProvider) -> ProviderValidated:
        record = question.record or await self._records.find(question.provider_id)
        if record is None:
            return ProviderValidated(known=False)
        answer = validated(record, question.object_info)
        if answer.missing_classes or answer.missing_models or answer.faults:
            return answer
        digest = core.graph_digest(record)
        await self._records.validate(digest, host=question.host, at=self._clock.now())
        return ProviderValidated(notes=answer.notes, remembered=True)


def validated(record: ProviderRecord, object_info: dict[str, object]) -> ProviderValidated:
    """Return everything that is wrong with a record, by itself and on a host."""
    verdict = fitting.compare(record, object_info)
    return ProviderValidated(
        missing_classes=verdict.missing_classes,
        missing_models=verdict.missing_models,
        faults=(*core.faults(record), *verdict.faults),
        notes=verdict.notes,
    )


def _propose(question: ImportProvider) -> ProviderProposal:
    proposal = propose(
        question.graph,
        provider_id=question.provider_id,
        title=question.title,
        info=question.object_info,
    )
    return ProviderProposal(
        record=proposal.record, notes=proposal.notes, refusals=proposal.refusals
    )
