"""Who rewrites prompts: nobody, or a language model behind an OpenAI-compatible address."""

from __future__ import annotations

from typing import Final

import anyio
import httpx
import msgspec
from msgspec import Struct

from actors.prompt_generation import rewriting
from actors.prompt_generation.errors import RewriterFailedError
from actors.prompt_generation.rewriting import Brief

DEADLINE_S: Final = 8.0
"""For all tries together; a job waits no longer for better words."""
TRIES: Final = 2
PAUSE_S: Final = 0.25
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read."""
MAX_OUT: Final = 1_000
"""Tokens that may be written, and are paid for."""
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


class NoRewriter:
    """Leaves every prompt as it is."""

    name = ""

    async def rewrite(self, brief: Brief) -> tuple[str, ...]:
        """Return the prompts."""
        return brief.prompts


class _Message(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Message


class _Completion(Struct):
    choices: tuple[_Choice, ...] = ()


class ChatRewriter:
    """Asks ``{base_url}/chat/completions``, once more when the server says it may be tried again.

    The client is given, so that whoever builds it says which proxy and which certificates; it must
    not follow redirects, or the key would go where a redirect points.
    """

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        base_url: str,
        model: str,
        api_key: str = "",
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        # not packed: few bytes that unpack to many would be in memory before they are counted
        self._headers = {"Accept-Encoding": "identity"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._deadline_s = deadline_s

    @property
    def name(self) -> str:
        """Return which model it is."""
        return self._model

    async def rewrite(self, brief: Brief) -> tuple[str, ...]:
        """Return what the model made of the prompts.

        Raises:
            RewriterFailedError: it did not answer in time, or not what was asked for.
        """
        try:
            with anyio.fail_after(self._deadline_s):
                return rewriting.read(await self._answer(brief))
        except TimeoutError as late:
            raise RewriterFailedError(f"no answer within {self._deadline_s} s") from late

    async def _answer(self, brief: Brief) -> str:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._ask(brief)
            except _TryAgainError as error:
                if attempt == TRIES:
                    raise RewriterFailedError(str(error)) from error
                await anyio.sleep(PAUSE_S * attempt)
        raise AssertionError("the last try returns or raises")

    async def _ask(self, brief: Brief) -> str:
        order = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": rewriting.SYSTEM},
                # one JSON value: what a user wrote cannot end it and begin a message of its own
                {"role": "user", "content": msgspec.json.encode(brief).decode()},
            ],
            "temperature": 0,
            "max_tokens": MAX_OUT,
        }
        try:
            async with self._client.stream(
                "POST", self._url, json=order, headers=self._headers, follow_redirects=False
            ) as response:
                if response.status_code in _AGAIN:
                    raise _TryAgainError(f"the server answered {response.status_code}")
                if response.status_code != httpx.codes.OK:
                    raise RewriterFailedError(f"the server answered {response.status_code}")
                body = await _read(response)
        except httpx.TransportError as error:
            raise _TryAgainError(f"the server does not answer: {type(error).__name__}") from error
        except httpx.InvalidURL as error:
            raise RewriterFailedError(f"the server cannot be read: {error}") from error
        return _content(body)


class _TryAgainError(RuntimeError):
    """It may work the next time."""


async def _read(response: httpx.Response) -> bytes:
    """Return the body as it is sent, unless it is too long."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise RewriterFailedError("the answer is packed, which was not asked for")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_ANSWER:
            raise RewriterFailedError(f"the answer has more than {MAX_ANSWER} bytes")
    return bytes(body)


def _content(body: bytes) -> str:
    try:
        completion = msgspec.json.decode(body, type=_Completion)
    except msgspec.DecodeError as error:
        raise RewriterFailedError(f"the answer is no completion: {error}") from error
    if not completion.choices or not completion.choices[0].message.content:
        raise RewriterFailedError("the answer has no words")
    return completion.choices[0].message.content
