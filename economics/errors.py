"""What can be wrong with a question about money."""

from __future__ import annotations


class UnknownGpuTypeError(LookupError):
    """The rate card has no price for this kind of GPU."""

    def __init__(self, gpu_type: str) -> None:
        super().__init__(f"no rate for gpu type {gpu_type!r}")
        self.gpu_type = gpu_type


class UnknownEffectError(LookupError):
    """The price book does not price this effect type at this time."""

    def __init__(self, effect_type: str) -> None:
        super().__init__(f"no price for effect type {effect_type!r}")
        self.effect_type = effect_type


class UnknownPriorityError(LookupError):
    """A user asked for a priority that nobody has defined."""

    def __init__(self, priority: str) -> None:
        super().__init__(f"unknown priority {priority!r}")
        self.priority = priority


class NoPriceListError(LookupError):
    """No price list is valid at this time."""

    def __init__(self, at: str) -> None:
        super().__init__(f"no price list is valid at {at}")
        self.at = at


class OverlappingPricesError(ValueError):
    """Two price lists are valid at the same time, so a price would be a matter of luck."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"price lists {first!r} and {second!r} overlap")
        self.versions = (first, second)


class InvalidUsageError(ValueError):
    """A meter reading is negative or not a number."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__(f"{what} cannot be {value!r}")
        self.what = what
        self.value = value


class NoRouteError(LookupError):
    """No provider may be tried for this effect type.

    It is ``permanent`` when the request itself excludes everybody, so that asking again later is no
    use; otherwise the next manifest may know somebody.
    """

    def __init__(self, effect_type: str, why: str, *, permanent: bool = False) -> None:
        super().__init__(f"no provider for effect type {effect_type!r}: {why}")
        self.effect_type = effect_type
        self.why = why
        self.permanent = permanent


class LedgerConflictError(ValueError):
    """A transfer of this id is in the ledger already, with other fields."""

    def __init__(self, transfer_id: str, field: str) -> None:
        super().__init__(f"transfer {transfer_id!r} exists with a different {field}")
        self.transfer_id = transfer_id
        self.field = field
