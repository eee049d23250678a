"""The provider catalog over HTTP, in front of the registry itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from actors.provider_registry import core
from actors.provider_registry.actor import ProviderRegistry
from actors.provider_registry.answers import RegistryAnswers
from actors.provider_registry.memory import (
    MemoryFleet,
    MemoryQueues,
    MemoryRecords,
    MemoryVitals,
)
from actors.provider_registry.shipped import shipped
from gateway import providers as desk
from schemas.base import Message, ProviderId
from schemas.commands import PutProvider, SetProviderStatus
from subjects.build import ANSWERER
from tests.builders import NOON
from tests.contract.provider_registry.graphs import object_info, recorded
from tests.integration.gateway.world import ADA, ANN, OPS, MemoryBus, World, bearer

DREAM = next(each for each in shipped() if each.provider_id == "fx-dream-v1")
AT = "/v1/admin/providers"


class RegistryBus(MemoryBus):
    """The bus with the real registry behind it, over stores in memory."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store)
        self.records = MemoryRecords(clock=world.clock)
        self.queues = MemoryQueues()
        self.works = True
        fleet = MemoryFleet()
        self._registry = ProviderRegistry(
            records=self.records,
            vitals=MemoryVitals(records=self.records),
            queues=self.queues,
            fleet=fleet,
            clock=world.clock,
        )
        self._answers = RegistryAnswers(records=self.records, fleet=fleet, clock=world.clock)

    async def publish(self, said: Message) -> None:
        """Let the registry hear what is for it."""
        await super().publish(said)
        if isinstance(said, PutProvider | SetProviderStatus) and self.works:
            await self._registry.receive(said)

    async def _answer(self, question: Struct) -> Struct:
        if ANSWERER[type(question)] == "provider_registry":
            return await self._answers.answer(question)
        return await super()._answer(question)


@asynccontextmanager
async def catalog(folder: Path, *, proven: bool = True) -> AsyncIterator[Any]:
    """Yield an operator's client of a gateway with an empty catalog, and the bus behind it."""
    world = World(folder)
    bus = RegistryBus(world)
    world.bus = bus
    if proven:
        await bus.records.validate(core.graph_digest(DREAM), host="h", at=NOON)
    async with world.inside() as client:
        client.headers.update(bearer(OPS))
        yield client, bus


def body(**changes: Any) -> dict[str, Any]:
    """Return the dream's record as JSON."""
    return msgspec.to_builtins(replace(DREAM, **changes))


async def edit(
    client: httpx.AsyncClient, record: dict[str, Any], revision: str, **query: str
) -> httpx.Response:
    """Send an edit."""
    where = f"{AT}/{record['provider_id']}"
    return await client.put(where, json=record, headers={"If-Match": revision}, params=query)


async def test_a_provider_is_added_edited_and_switched(tmp_path: Path) -> None:
    """The whole life of a record, each answer with the revision it led to."""
    async with catalog(tmp_path) as (client, bus):
        added = await client.post(AT, json=body())
        again = await client.post(AT, json=body())
        edited = await edit(client, body(display_name="Mine"), '"1"')
        shadow = await client.post(f"{AT}/{DREAM.provider_id}/status", json={"status": "shadow"})
        shown = await client.get(f"{AT}/{DREAM.provider_id}")
        first = await client.get(f"{AT}/{DREAM.provider_id}?revision=1")
        listed = await client.get(AT)

    assert (added.status_code, added.headers["etag"]) == (201, '"1"')
    assert (added.json()["outcome"], added.json()["status"]) == ("done", "active")
    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    assert (edited.status_code, edited.json()["revision"]) == (200, 2)
    assert (shadow.json()["previous"], shadow.json()["status"]) == ("active", "shadow")
    assert shown.headers["etag"] == '"2"'
    assert shown.json()["record"]["display_name"] == "Mine"
    assert shown.json()["record"]["status"] == "shadow"
    assert [each["revision"] for each in shown.json()["revisions"]] == [2, 1]
    assert shown.json()["revisions"][0]["by"] == "usr_ops"
    assert len(shown.json()["changes"]) == 4
    assert first.json()["record"]["display_name"] == "Dream"
    assert [each["provider_id"] for each in listed.json()["providers"]] == [DREAM.provider_id]
    assert set(bus.queues.made) == {DREAM.provider_id}


async def test_a_stale_edit_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    """Two admins opened the same revision."""
    async with catalog(tmp_path) as (client, bus):
        await client.post(AT, json=body())
        await edit(client, body(display_name="Ann's"), '"1"')
        late = await edit(client, body(display_name="Bob's"), '"1"')
        found = await bus.records.find(DREAM.provider_id)

    assert (late.status_code, late.json()["code"]) == (412, "STALE_REVISION")
    assert late.json()["revision"] == 2
    assert "revision 1 was edited, and the newest is 2" in late.json()["detail"]
    assert "read it again" in late.json()["hint"]
    assert found.display_name == "Ann's"


@pytest.mark.parametrize(
    ("revision", "status", "code"),
    [
        ("", 428, "REVISION_NEEDED"),
        ("*", 400, "INVALID_REVISION"),
        ('"0"', 400, "INVALID_REVISION"),
    ],
)
async def test_an_edit_names_a_revision(
    tmp_path: Path, revision: str, status: int, code: str
) -> None:
    """Without one it would overwrite whatever is there."""
    async with catalog(tmp_path) as (client, bus):
        answer = await edit(client, body(), revision)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not bus.said


async def test_a_record_that_cannot_work_is_refused_with_every_fault(tmp_path: Path) -> None:
    """One round, not six."""
    broken = body(capabilities=(), default_parameters={"power": 1})
    async with catalog(tmp_path) as (client, bus):
        answer = await client.post(AT, json=broken, params={"force": "true"})

    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PROVIDER")
    assert answer.json()["faults"] == [
        "capabilities is empty",
        "default of power: there is no such parameter",
    ]
    assert await bus.records.current() == ()


async def test_a_misspelt_field_is_refused_by_name(tmp_path: Path) -> None:
    """It would be dropped without a word, and the provider would do something else."""
    wrong = body() | {"parameter_rule": {}}
    wrong["cost_model"] |= {"cold_start_seconds": 3}
    wrong["parameter_rules"]["strength"] |= {"max": 1}
    async with catalog(tmp_path) as (client, bus):
        answer = await client.post(AT, json=wrong)

    assert answer.status_code == 422
    assert set(answer.json()["faults"]) == {
        "there is no field parameter_rule",
        "there is no field cost_model.cold_start_seconds",
        "there is no field parameter_rules.strength.max",
    }
    assert not bus.said


async def test_an_unproven_provider_stays_a_draft_and_is_not_enabled(tmp_path: Path) -> None:
    """Until a host is known, or somebody insists."""
    where = f"{AT}/{DREAM.provider_id}/status"
    async with catalog(tmp_path, proven=False) as (client, _):
        added = await client.post(AT, json=body())
        refused = await client.post(where, json={"status": "active"})
        proof = {"provider_id": DREAM.provider_id, "object_info": object_info(), "host": "h"}
        proven = await client.post(f"{AT}/validate", json=proof)
        enabled = await client.post(where, json={"status": "active"})

    assert (added.status_code, added.json()["status"]) == (201, "draft")
    assert (refused.status_code, refused.json()["code"]) == (409, "UNPROVEN_PROVIDER")
    assert refused.json()["provider_status"] == "draft"
    assert proven.json()["remembered"] is True
    assert enabled.json()["status"] == "active"


async def test_a_draft_is_shown_to_admins_only(tmp_path: Path) -> None:
    """It is not offered yet."""
    async with catalog(tmp_path, proven=False) as (client, _):
        await client.post(AT, json=body())
        user = await client.get("/v1/providers", headers=bearer(ANN))
        admin = await client.get("/v1/providers", headers=bearer(ADA))

    assert user.json()["providers"] == []
    assert [each["status"] for each in admin.json()["providers"]] == ["draft"]


async def test_force_enables_what_is_unproven(tmp_path: Path) -> None:
    """The host may come tomorrow."""
    async with catalog(tmp_path, proven=False) as (client, _):
        added = await client.post(AT, json=body(), params={"force": "true"})

    assert added.json()["status"] == "active"


async def test_a_taken_name_and_an_unknown_one_are_told_apart(tmp_path: Path) -> None:
    """Each with what to do next."""
    async with catalog(tmp_path) as (client, _):
        await client.post(AT, json=body())
        taken = await client.post(AT, json=body(display_name="Mine"))
        unknown = await client.get(f"{AT}/fx-none")
        nothing = await client.post(f"{AT}/fx-none/status", json={"status": "active"})
        nowhere = await edit(client, body(provider_id="fx-none"), '"1"')
        other = await client.put(f"{AT}/fx-x", json=body(), headers={"If-Match": '"1"'})
        strange = await client.get(f"{AT}/a.b")

    assert (taken.status_code, taken.json()["code"]) == (409, "PROVIDER_EXISTS")
    for answer in (unknown, nothing, nowhere, strange):
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_PROVIDER")
    assert (other.status_code, other.json()["code"]) == (422, "INVALID_PROVIDER")


async def test_a_graph_is_proposed_and_nothing_is_stored(tmp_path: Path) -> None:
    """A dry run: the answer is what ``add`` would be sent."""
    sent = {"graph": recorded("fx-soft-light"), "title": "Soft light", "object_info": object_info()}
    async with catalog(tmp_path) as (client, bus):
        answer = await client.post(f"{AT}/import", json=sent)
        added = await client.post(AT, json=answer.json()["record"])

    assert answer.status_code == 200
    assert answer.json()["record"]["provider_id"] == "soft-light-v1"
    assert answer.json()["record"]["status"] == "draft"
    assert added.status_code == 201
    assert [type(each) for each in bus.said.values()] == [PutProvider]


async def test_a_graph_that_cannot_be_a_provider_is_refused_with_reasons(tmp_path: Path) -> None:
    """All of them."""
    graph = recorded("fx-color-transfer")
    graph["4"]["inputs"]["method"] = "http://10.0.0.1/"
    graph["3"]["inputs"]["image"] = "../x.png"
    async with catalog(tmp_path) as (client, _):
        answer = await client.post(f"{AT}/import", json={"graph": graph})

    assert (answer.status_code, answer.json()["code"]) == (422, "GRAPH_REFUSED")
    assert len(answer.json()["faults"]) == 2


async def test_everything_a_host_lacks_is_listed(tmp_path: Path) -> None:
    """For a record that is not stored too."""
    vace = next(each for each in shipped() if each.provider_id == "comfy-wan-vace-v1")
    info = object_info()
    del info["WanVaceToVideo"]
    sent = {"record": msgspec.to_builtins(vace), "object_info": info}
    async with catalog(tmp_path) as (client, _):
        answer = await client.post(f"{AT}/validate", json=sent)

    assert answer.json()["missing_classes"] == ["WanVaceToVideo"]
    assert answer.json()["missing_models"] == sorted(vace.required_models)
    assert answer.json()["remembered"] is False


async def test_an_order_the_registry_has_not_carried_out_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored; whoever sent it is not kept waiting for ever."""
    monkeypatch.setattr(desk, "OUTCOME_S", 0.05)
    async with catalog(tmp_path) as (client, bus):
        bus.works = False
        answer = await client.post(AT, json=body())

    assert (answer.status_code, answer.json()["outcome"]) == (202, "pending")
    assert len(bus.said) == 1


@pytest.mark.parametrize("token", [ANN, ADA])
async def test_only_the_operator_may(tmp_path: Path, token: str) -> None:
    """A provider serves every tenant; an admin of one may not change it."""
    async with catalog(tmp_path) as (client, bus):
        answers = [
            await client.get(AT, headers=bearer(token)),
            await client.get(f"{AT}/{DREAM.provider_id}", headers=bearer(token)),
            await client.post(AT, json=body(), headers=bearer(token)),
            await client.put(f"{AT}/x", json=body(), headers=bearer(token)),
            await client.post(f"{AT}/x/status", json={"status": "active"}, headers=bearer(token)),
            await client.post(f"{AT}/import", json={"graph": {}}, headers=bearer(token)),
            await client.post(f"{AT}/validate", json={"object_info": {}}, headers=bearer(token)),
        ]

    assert {answer.status_code for answer in answers} == {403}
    assert not bus.said


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b'{"provider_id": NaN}',
        b"[]",
        b'{"provider_id": 7}',
        b'{"graph": {"1": {"inputs": {"x": 1e999}}}}',
        b"[" * 100_000,
    ],
)
async def test_a_body_that_is_no_record_is_refused(tmp_path: Path, sent: bytes) -> None:
    """As a problem, not as an error of ours."""
    async with catalog(tmp_path) as (client, bus):
        answer = await client.post(AT, content=sent, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert not bus.said


async def test_a_body_too_large_for_the_bus_is_refused(tmp_path: Path) -> None:
    """Before it is read to its end."""
    large = body()
    large["graph"]["3"]["inputs"]["text"] = "x" * 900_000
    async with catalog(tmp_path) as (client, bus):
        answer = await client.post(AT, json=large)

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert not bus.said


@pytest.mark.parametrize("status", ["asleep", "", 7, None])
async def test_a_status_that_does_not_exist_is_refused(tmp_path: Path, status: object) -> None:
    """At the door."""
    async with catalog(tmp_path) as (client, bus):
        answer = await client.post(f"{AT}/{DREAM.provider_id}/status", json={"status": status})

    assert answer.status_code == 400
    assert not bus.said


async def test_the_interface_is_described(tmp_path: Path) -> None:
    """Whoever writes a client reads it there."""
    async with catalog(tmp_path) as (client, _):
        described = (await client.get("/schema/openapi.json")).json()

    paths = described["paths"]
    assert set(paths[AT]) == {"get", "post"}
    assert set(paths[f"{AT}/{{provider_id}}"]) == {"get", "put"}
    assert "412" in paths[f"{AT}/{{provider_id}}"]["put"]["responses"]
    assert ProviderId("import") not in paths
