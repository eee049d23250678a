"""What can be wrong with a provider record."""

from __future__ import annotations


class InvalidRecordError(ValueError):
    """A provider record cannot work; every fault is named at once."""

    def __init__(self, provider_id: str, faults: tuple[str, ...]) -> None:
        super().__init__(f"provider {provider_id!r} is not usable: {'; '.join(faults)}")
        self.provider_id = provider_id
        self.faults = faults


class CatalogError(ValueError):
    """A shipped catalog file cannot be read as a provider record."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"catalog file {name!r} is no provider record: {why}")
        self.name = name
