"""Security headers on every answer, whatever made it."""

from __future__ import annotations

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}

TUS_PATH: Final = "/v1/tus"
TUS_HEADERS: Final = {"Tus-Resumable": "1.0.0"}
API_HEADERS: Final = {"Cache-Control": "no-store"}


async def complete_headers(message: Message, scope: Scope) -> None:
    """Add what nobody set; the hook sees errors of routing too, which a middleware does not."""
    if message["type"] != "http.response.start":
        return
    path = scope["path"]
    wanted = dict(HEADERS)
    if path.startswith("/v1/"):
        wanted |= API_HEADERS
    if path == TUS_PATH or path.startswith(TUS_PATH + "/"):
        wanted |= TUS_HEADERS
    headers = MutableScopeHeaders.from_message(message)
    for name, value in wanted.items():
        if name not in headers:
            headers[name] = value
