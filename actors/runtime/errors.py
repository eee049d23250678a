"""What can go wrong between an actor and the bus."""

from __future__ import annotations


class BusError(Exception):
    """Something about the bus; the subclasses say what."""


class BusUnavailableError(BusError):
    """The broker did not answer in time, whatever was tried."""

    def __init__(self, what: str, *, after_s: float) -> None:
        super().__init__(f"no answer from the broker for {what} after {after_s:g} s")
        self.what = what


class CannotConnectError(BusError):
    """The first connection failed: wrong address, or nobody there."""

    def __init__(
        self,
        url: str,
        reason: str,
        *,
        remedy: str = "check EFFECTMESH_NATS_URL and that the server runs",
    ) -> None:
        super().__init__(f"cannot connect to nats at {url}: {reason}; {remedy}")


class NotLetInError(CannotConnectError):
    """The broker is there and does not know this user, or not this password."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            "authorization violation, it refuses this user or password",
            remedy="check them in EFFECTMESH_NATS_URL, or in EFFECTMESH_NATS_USERS_FILE",
        )


class NotPermittedError(BusError):
    """The server's permissions refuse this user that subject."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"this user may not publish on {subject}")
        self.subject = subject


class NoStreamError(BusError):
    """Nothing stores that subject: the topology was not applied."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"no stream stores {subject}; run: effectmesh topology apply")
        self.subject = subject


class WrongLastSequenceError(BusError):
    """Somebody else wrote first (error 10071)."""


class ApiError(BusError):
    """JetStream refused a request."""

    def __init__(self, what: str, code: int, description: str) -> None:
        super().__init__(f"{what}: {description} ({code})")
        self.code = code
        self.description = description


class AskError(BusError):
    """A question got no answer; ``retry_after`` is set when it may get one later."""

    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class DriftError(BusError):
    """The server's streams or consumers differ from the declaration."""

    def __init__(self, differences: list[str]) -> None:
        shown = "; ".join(differences[:5])
        super().__init__(f"the topology differs: {shown}; run: effectmesh topology apply")
        self.differences = differences
