"""Who may call what. Checked before a body is read."""

from __future__ import annotations

from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from gateway.errors import Refusal
from gateway.identity import Caller, Tokens, bearer, unknown_caller

Connection = ASGIConnection[BaseRouteHandler, object, object, State]
WebRequest = Request[object, object, State]
SignedIn = NamedDependency[SkipValidation[Caller]]
"""A handler's ``caller``: whom the guard recognised."""

PUBLIC = "public"
"""The option of a handler, among those that need a token, which needs none."""


class KnownCaller:
    """Lets in whoever has a known token, and notes who it is."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Recognise the caller.

        Raises:
            Refusal: no token, or an unknown one.
        """
        if handler.opt.get(PUBLIC):
            return
        token = bearer(connection.headers.get("authorization"))
        caller = self._tokens.whose(token) if token else None
        if caller is None:
            raise unknown_caller()
        connection.scope["user"] = caller


def admins_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let in admins, of a tenant or of the platform.

    Raises:
        Refusal: the caller is none.
    """
    if not _caller(connection).is_admin:
        raise Refusal(
            403, "ADMIN_ONLY", detail="only an admin may do this", hint="use an admin's token"
        )


def operators_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let in the platform's operators: what they see is about every tenant.

    Raises:
        Refusal: the caller is none.
    """
    if not _caller(connection).is_operator:
        raise Refusal(
            403,
            "OPERATOR_ONLY",
            detail="only the platform's operator may do this",
            hint="use an admin token whose tenant is '*'",
        )


class OwnPages:
    """Refuses a WebSocket that another site's page opens. No Origin, no page."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(allowed)

    def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Compare the Origin with the host that was asked, and with the list.

        Raises:
            PermissionDeniedException: a foreign origin; the upgrade is answered with 403.
        """
        origin = connection.headers.get("origin")
        if origin is None or origin in self._allowed:
            return
        parts = urlsplit(origin)
        host = connection.headers.get("host", "")
        if parts.scheme in ("http", "https") and host and parts.netloc == host:
            return
        raise PermissionDeniedException(detail="foreign origin")


async def caller_of(request: WebRequest) -> Caller:
    """Return whom the guard recognised."""
    caller = request.scope["user"]
    assert isinstance(caller, Caller)
    return caller


def _caller(connection: Connection) -> Caller:
    caller = connection.scope["user"]
    assert isinstance(caller, Caller)
    return caller
