"""A captioner over real HTTP: it may describe, it may do nothing else."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import anyio
import httpx
import pytest

from actors.content_analysis import core
from actors.content_analysis.captioner import MAX_ANSWER_BYTES, MAX_PICTURES, TRIES, ChatCaptioner
from tests.unit.content_analysis.test_core import sighting

STILL = b"\xff\xd8 a picture \xff\xd9"


def spoken(words: object) -> bytes:
    """Return an answer as the interface has it."""
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": words}}]}).encode()


class Endpoint(ThreadingHTTPServer):
    """A real HTTP server that answers as told and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.status = 200
        self.body = spoken("a dog runs on a beach at dusk")
        self.stalls = False
        self.closing = Event()
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []


class Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Endpoint

    def do_POST(self) -> None:
        """Remember the question, and answer or stall."""
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append({"path": self.path, **question})
        self.server.keys.append(self.headers.get("authorization", ""))
        if self.server.stalls:
            self.server.closing.wait()
            return
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        # who asked may have hung up on too long an answer
        with suppress(OSError):
            self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Return a server that runs while the test does."""
    with Endpoint() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


Ask = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def ask(endpoint: Endpoint) -> AsyncIterator[Ask]:
    """Return a way to have pictures described by the server."""
    async with httpx.AsyncClient() as client:

        async def asked(
            *stills: bytes, within_s: float = 5.0, picture_within_s: float = 5.0
        ) -> list[str]:
            captioner = ChatCaptioner(
                client=client,
                base_url=endpoint.url + "/v1/",
                model="some/vision model",
                api_key="sesame",
                within_s=within_s,
                picture_within_s=picture_within_s,
            )
            return list(await captioner.captions(stills))

        yield asked


async def test_a_picture_becomes_a_sentence(endpoint: Endpoint, ask: Ask) -> None:
    """In the form that every such server understands."""
    assert await ask(b"", STILL) == ["", "a dog runs on a beach at dusk"]

    [asked] = endpoint.asked
    text, image = asked["messages"][0]["content"]
    assert asked["path"] == "/v1/chat/completions"
    assert asked["model"] == "some/vision model"
    assert text["type"] == "text"
    kind, _, data = image["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert b64decode(data) == STILL
    assert endpoint.keys == ["Bearer sesame"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"not json"),
        (200, b'{"choices": []}'),
        (200, b"[]"),
        (200, spoken(None)),
        (200, spoken(["not", "a", "string"])),
        (200, b'{"choices": [{"message": {"content": "' + b"x" * MAX_ANSWER_BYTES + b'"}}]}'),
        (401, spoken("no")),
        (302, b""),
    ],
)
async def test_nonsense_is_nothing_said(
    status: int, body: bytes, endpoint: Endpoint, ask: Ask
) -> None:
    """And is not asked for again."""
    endpoint.status, endpoint.body = status, body

    assert await ask(STILL) == [""]
    assert len(endpoint.asked) == 1


async def test_a_busy_endpoint_is_asked_again_and_then_left(endpoint: Endpoint, ask: Ask) -> None:
    """An outage of somebody else's must not hold up a job for ever."""
    endpoint.status = 503

    assert await ask(STILL) == [""]
    assert len(endpoint.asked) == TRIES


async def test_a_stalling_endpoint_costs_a_bounded_time(endpoint: Endpoint, ask: Ask) -> None:
    """All pictures together have one limit."""
    endpoint.stalls = True

    with anyio.fail_after(5):
        assert await ask(STILL, STILL, within_s=0.2) == ["", ""]
        assert await ask(STILL, picture_within_s=0.05) == [""]


async def test_a_long_clip_sends_few_pictures(endpoint: Endpoint, ask: Ask) -> None:
    """Somebody pays for each."""
    said = await ask(*[STILL] * (MAX_PICTURES + 3))

    assert len(endpoint.asked) == MAX_PICTURES
    assert said[MAX_PICTURES:] == ["", "", ""]


async def test_nobody_there_is_nothing_said() -> None:
    """A wrong address is the same as no captioner."""
    async with httpx.AsyncClient() as client:
        captioner = ChatCaptioner(client=client, base_url="http://127.0.0.1:1", model="m")

        assert list(await captioner.captions([STILL])) == [""]


async def test_its_words_are_data(endpoint: Endpoint, ask: Ask) -> None:
    """They end up in prompts and on pages: one plain, bounded line, and only a description."""
    endpoint.body = spoken("A cat\n\n<script>x</script> {{ wish }}\x00\u202e " + "and more " * 500)
    [said] = await ask(STILL)
    plain = core.describe(sighting())

    worded = core.in_words(plain, [said], by="chat:m")

    [scene] = worded.scenes
    assert scene.description.startswith("A cat script x /script wish")
    assert len(scene.description) <= core.MAX_DESCRIPTION
    assert scene.description.isprintable()
    assert not set("<>{}[]`|\\") & set(scene.description)
    assert worded.described_by == "chat:m"
    assert worded.eligibility == plain.eligibility
