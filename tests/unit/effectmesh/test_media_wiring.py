"""How intake, analysis and the media store are built from settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from actors.runtime.contract import FrozenClock
from effectmesh.limits import limits_of
from effectmesh.processes import intake as processes
from effectmesh.processes.analysis import AnalysisCare
from effectmesh.processes.intake import IntakeCare, hash_list, policies
from effectmesh.settings import SettingError, Settings, read
from effectmesh.shelf import direct_uploads, media_store, signed_urls
from media.errors import StoreAwayError
from media.local_store import LocalMediaStore
from media.s3_store import S3MediaStore
from media.screening import NoHashList
from schemas.base import TenantId

NOWHERE = cast("Any", object())
"""A pool that nobody uses while things are only built."""
LISTED = "a" * 64


def settings(home: Path, **changes: str) -> Settings:
    """Return settings as an environment would give them."""
    variables = {f"EFFECTMESH_{name.upper()}": each for name, each in changes.items()}
    return read({"EFFECTMESH_HOME": str(home), **variables})


def intake(chosen: Settings) -> IntakeCare:
    """Return intake as these settings ask for it."""
    return IntakeCare(chosen, store=media_store(chosen), pool=NOWHERE, clock=FrozenClock())


def analysis(chosen: Settings) -> AnalysisCare:
    """Return analysis as these settings ask for it."""
    return AnalysisCare(chosen, store=media_store(chosen), pool=NOWHERE, clock=FrozenClock())


def test_media_lie_on_disk_unless_a_bucket_is_named(tmp_path: Path) -> None:
    """The demo needs no bucket; whoever has one needs no shared folder."""
    here = settings(tmp_path)

    assert isinstance(media_store(here), LocalMediaStore)
    assert direct_uploads(here) is None
    assert signed_urls(here) is not None


def test_a_bucket_takes_uploads_itself(tmp_path: Path) -> None:
    """A browser that uploads past the gateway saves its memory and its line."""
    there = settings(tmp_path, s3_bucket="b", s3_endpoint_url="http://127.0.0.1:1")

    assert isinstance(media_store(there), S3MediaStore)
    assert direct_uploads(there) is not None
    assert signed_urls(there) is None


async def test_a_signed_address_is_good_after_a_restart(tmp_path: Path) -> None:
    """The key is kept: an address that was given out does not end with the process."""
    first, second = signed_urls(settings(tmp_path)), signed_urls(settings(tmp_path))
    assert first is not None
    assert second is not None

    url = await first.signed_url("s3://intake/posters/t/v.webp", seconds=60)

    path, _, query = url.partition("/v1/signed/")[2].partition("?")
    given = dict(each.split("=") for each in query.split("&"))
    assert second.opened("GET", path, **given) == "s3://intake/posters/t/v.webp"


async def test_the_hash_list_is_read_at_the_start(tmp_path: Path) -> None:
    """A list that is not read protects nobody."""
    (tmp_path / "list.txt").write_text(f"# known\n{LISTED} known clip\n")
    chosen = settings(tmp_path, hash_list=str(tmp_path / "list.txt"))

    assert await hash_list(chosen).match(LISTED, "") == "known clip"
    assert isinstance(hash_list(settings(tmp_path)), NoHashList)


@pytest.mark.parametrize("content", [None, "not a hash\n", b"\xff\xfe\x00"])
def test_a_hash_list_that_cannot_be_read_stops_the_start(
    content: str | bytes | None, tmp_path: Path
) -> None:
    """Going on without it would let through what somebody decided must not be."""
    file = tmp_path / "list.txt"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SettingError, match="HASH_LIST"):
        intake(settings(tmp_path, hash_list=str(file)))


async def test_a_tenant_may_have_limits_of_its_own(tmp_path: Path) -> None:
    """Who pays for more may bring more; everybody else stays as they are."""
    file = tmp_path / "limits.json"
    file.write_text('{"tnt_big": {"max_duration_ms": 120000, "uploads_per_hour": 9}}')
    chosen = policies(settings(tmp_path, tenant_limits=str(file), max_duration_s="30"))

    big, other = await chosen.of(TenantId("tnt_big")), await chosen.of(TenantId("tnt_other"))

    assert (big.limits.max_duration_ms, big.uploads_per_hour) == (120_000, 9)
    assert (other.limits.max_duration_ms, other.uploads_per_hour) == (30_000, 120)
    assert big.limits.max_bytes == other.limits.max_bytes


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"t": 3}',
        '{"t": {"max_lenght": 3}}',
        '{"t": {"uploads_per_hour": 0}}',
        '{"t": {"max_frames": 1.5}}',
    ],
)
def test_limits_that_are_none_stop_the_start(content: str, tmp_path: Path) -> None:
    """A misspelt limit would be no limit."""
    file = tmp_path / "limits.json"
    file.write_text(content)

    with pytest.raises(SettingError, match="TENANT_LIMITS"):
        policies(settings(tmp_path, tenant_limits=str(file)))


def test_intake_lets_nothing_lie_for_ever(tmp_path: Path) -> None:
    """Retention is a part of the process, not a command somebody must remember."""
    assert [name for name, _ in intake(settings(tmp_path)).parts()] == ["retention of uploads"]


async def test_retention_outlasts_a_store_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour without the bucket must not end the ten modules."""
    looked: list[int] = []
    again = anyio.Event()

    class Away:
        async def retire(self) -> int:
            looked.append(1)
            if len(looked) > 1:
                again.set()
            raise StoreAwayError("s3://intake/raw/t/v", "no route")

    monkeypatch.setattr(processes, "RETIRE_EVERY_S", 0.0)
    care = intake(settings(tmp_path))
    care.module = cast("Any", Away())
    [(_, run)] = care.parts()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await again.wait()
            tasks.cancel_scope.cancel()

    assert len(looked) > 1


def test_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    """Commands and the running stack refuse the same files."""
    limits = limits_of(settings(tmp_path, max_upload_mb="7", max_duration_s="9"))

    assert (limits.max_bytes, limits.max_duration_ms) == (7_000_000, 9_000)


def test_nobody_gets_pictures_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Frames of users leave the platform only when an operator says so."""
    assert list(analysis(settings(tmp_path)).parts()) == []


async def test_a_captioner_s_line_is_a_part_of_its_own(tmp_path: Path) -> None:
    """It is closed when the process ends."""
    with pytest.raises(SettingError, match="CAPTIONER_MODEL"):
        analysis(settings(tmp_path, captioner_url="http://127.0.0.1:1/v1"))

    built = analysis(settings(tmp_path, captioner_url="http://127.0.0.1:1/v1", captioner_model="m"))

    assert [name for name, _ in built.parts()] == ["line to the captioner"]
    assert built._line is not None
    await built._line.client.aclose()
