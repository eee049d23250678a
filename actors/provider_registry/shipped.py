"""The catalog that comes with the platform: one JSON file for each provider."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from actors.provider_registry import core
from actors.provider_registry.errors import CatalogError
from schemas.routing import ProviderRecord

CATALOG: Final = Path(__file__).with_name("catalog")


def shipped(folder: Path = CATALOG) -> tuple[ProviderRecord, ...]:
    """Return every shipped record, sorted by provider id.

    Raises:
        CatalogError: a file is no record, or is named after another provider.
        InvalidRecordError: a record cannot work.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=ProviderRecord)
        except msgspec.MsgspecError as wrong:
            raise CatalogError(path.name, str(wrong)) from wrong
        if record.provider_id != path.stem:
            raise CatalogError(path.name, f"it holds provider {record.provider_id!r}")
        core.check(record)
        records.append(record)
    return tuple(records)
