"""What Video Intake does beside its messages: it removes what is not kept any longer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import anyio
import asyncpg
import msgspec

from actors.runtime.contract import Clock
from actors.video_intake.actor import RETIRED_AT_ONCE, VideoIntake
from actors.video_intake.fixed_policies import FixedPolicies
from actors.video_intake.policy import RetentionPolicy, TenantPolicy
from actors.video_intake.postgres import PostgresUploads
from effectmesh.limits import limits_of
from effectmesh.settings import SettingError, Settings
from media.errors import StoreAwayError
from media.sandbox import Sandbox
from media.screen_model import find_screen_model
from media.screening import (
    BadHashListError,
    FileHashList,
    HashList,
    NoHashList,
    ScreeningPolicy,
)
from media.store import MediaStore
from media.verdicts import IntakeLimits
from schemas.base import TenantId

log = logging.getLogger("effectmesh.intake")

RETIRE_EVERY_S: Final = 3600.0
RATE: Final = "uploads_per_hour"


class IntakeCare:
    """The module and what runs beside it."""

    def __init__(
        self, settings: Settings, *, store: MediaStore, pool: asyncpg.Pool, clock: Clock
    ) -> None:
        """Build them.

        Raises:
            SettingError: the hash list cannot be read.
        """
        limits = limits_of(settings)
        self.module = VideoIntake(
            store=store,
            uploads=PostgresUploads(pool=pool),
            workshop=Sandbox(limits=limits, screen=find_screen_model()),
            clock=clock,
            policies=policies(settings),
            hash_list=hash_list(settings),
            screening=ScreeningPolicy(hold_unscreened=settings.hold_unscreened),
            retention=RetentionPolicy(
                raw_days=settings.raw_days,
                derived_days=settings.derived_days,
                refused_days=settings.refused_days,
            ),
        )

    def parts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield each part's name and what runs it."""
        yield "retention of uploads", self._retire

    async def _retire(self) -> None:
        while True:
            try:
                while await self.module.retire() == RETIRED_AT_ONCE:
                    pass
            except StoreAwayError as away:
                log.warning("nothing is removed until the next look in an hour: %s", away)
            await anyio.sleep(RETIRE_EVERY_S)


def policies(settings: Settings) -> FixedPolicies:
    """Return what each tenant may upload: the settings, but for those whom the file names.

    Raises:
        SettingError: the file cannot be read, or a limit in it is none.
    """
    usual = TenantPolicy(limits=limits_of(settings), uploads_per_hour=settings.uploads_per_hour)
    if not settings.tenant_limits:
        return FixedPolicies(usual)
    try:
        content = Path(settings.tenant_limits).read_bytes()
        named = msgspec.json.decode(content, type=dict[TenantId, dict[str, int | float]])
        return FixedPolicies(usual, {each: _other(usual, named[each]) for each in named})
    except (OSError, msgspec.DecodeError) as error:
        raise SettingError(f"EFFECTMESH_TENANT_LIMITS: {error}") from error


def _other(usual: TenantPolicy, changes: Mapping[str, int | float]) -> TenantPolicy:
    """Return a policy with some limits changed; an unknown name or value is refused."""
    limits = {name: each for name, each in changes.items() if name != RATE}
    unknown = limits.keys() - set(IntakeLimits.__struct_fields__)
    if unknown:
        raise msgspec.ValidationError(f"there is no limit named {min(unknown)}")
    changed = {**msgspec.structs.asdict(usual.limits), **limits}
    return msgspec.convert(
        {"limits": changed, RATE: changes.get(RATE, usual.uploads_per_hour)}, TenantPolicy
    )


def hash_list(settings: Settings) -> HashList:
    """Return the clips that nobody may use.

    Raises:
        SettingError: the file cannot be read, or a line of it is no entry.
    """
    if not settings.hash_list:
        return NoHashList()
    try:
        return FileHashList.read(Path(settings.hash_list))
    except (OSError, UnicodeError, BadHashListError) as error:
        raise SettingError(f"EFFECTMESH_HASH_LIST: {error}") from error
