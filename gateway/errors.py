"""What the bus may fail with, and the one refusal every handler raises."""

from __future__ import annotations

from collections.abc import Mapping


class BusUnavailableError(Exception):
    """The broker is away, or did not store what was said."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the bus cannot be reached: {what}")
        self.what = what


class AskTimedOutError(Exception):
    """A module did not answer in time."""

    def __init__(self, question: str, timeout: float) -> None:
        super().__init__(f"no answer to {question} within {timeout:g} s")
        self.question = question
        self.timeout = timeout


class UploadTooLargeError(Exception):
    """More bytes came than may be stored."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Refusal(Exception):
    """A request that is answered with a problem instead of a result."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        detail: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.headers = dict(headers or {})
        self.more = dict(more or {})
        """Further members of the problem, such as the list of what is offered."""


def not_found(code: str, what: str, name: str) -> Refusal:
    """Return the refusal for an absent object, and for another tenant's, word for word the same."""
    return Refusal(
        404,
        code,
        detail=f"there is no {what} {name!r}",
        hint=f"check the id; a {what} of another tenant cannot be seen",
    )
