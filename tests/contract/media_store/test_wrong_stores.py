"""A suite that nothing can fail proves nothing: each of these stores is wrong in one way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from media.errors import MediaNotFoundError
from tests.contract.media_store import test_media_store as suite
from tests.contract.media_store.stores import LocalShelf

Check = Callable[..., Awaitable[None]]


class Moving(LocalShelf):
    """Takes the caller's file away."""

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store, then remove the source."""
        await super().put_file(uri, path, content_type=content_type)
        await to_thread.run_sync(path.unlink)


class Keeping(LocalShelf):
    """Never replaces anything."""

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store only what is new."""
        if not await self.exists(uri):
            await super().put_file(uri, path, content_type=content_type)


class Inclusive(LocalShelf):
    """Reads one byte too many."""

    async def read(
        self, uri: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Take the end for the last byte."""
        async for piece in super().read(uri, start=start, end=None if end is None else end + 1):
            yield piece


class Hoarding(LocalShelf):
    """Yields an object in one piece."""

    async def read(
        self, uri: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Hold all of it."""
        yield b"".join([piece async for piece in super().read(uri, start=start, end=end)])


class Silent(LocalShelf):
    """Has an empty file where there is no object."""

    @asynccontextmanager
    async def as_file(self, uri: str) -> AsyncIterator[Path]:
        """Yield something in any case."""
        try:
            async with super().as_file(uri) as path:
                yield path
        except MediaNotFoundError:
            yield Path("/dev/null")


class Strict(LocalShelf):
    """Complains when there is nothing to delete."""

    async def delete(self, uri: str) -> None:
        """Look first."""
        await self.size(uri)
        await super().delete(uri)


class Sloppy(LocalShelf):
    """Lists another tenant's objects too."""

    async def addresses(self, prefix: str) -> AsyncIterator[str]:
        """Forget the end of the prefix."""
        async for uri in super().addresses(prefix.removesuffix("/")):
            yield uri


class Trusting(LocalShelf):
    """Opens any URL."""

    async def fetch(self, url: str, *, span: str = "") -> tuple[int, bytes]:
        """Ask for no signature."""
        del url, span
        return 403, b"0123456789"


WRONG: list[tuple[type[LocalShelf], Check, dict[str, Any]]] = [
    (Moving, suite.test_the_source_file_stays, {}),
    (Keeping, suite.test_a_second_write_replaces_the_first, {}),
    (Inclusive, suite.test_a_range_gives_what_there_is, {"start": 3, "end": 6, "expected": b"345"}),
    (Hoarding, suite.test_a_large_object_comes_in_bounded_pieces, {}),
    (Silent, suite.test_nothing_stored_is_not_found, {}),
    (Strict, suite.test_deleting_twice_is_no_error, {}),
    (Sloppy, suite.test_what_is_stored_is_listed_in_order, {}),
    (Trusting, suite.test_an_altered_or_old_url_reads_nothing, {}),
]


@pytest.mark.parametrize(("wrong", "check", "values"), WRONG)
async def test_a_wrong_store_fails_the_suite(
    wrong: type[LocalShelf], check: Check, values: dict[str, Any], tmp_path: Path
) -> None:
    """And a right one passes the same check."""
    for kind, fails in ((LocalShelf, False), (wrong, True)):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        clip = folder / "clip"
        clip.write_bytes(b"0123456789")
        arguments = {"clip": clip} | values if "clip" in check.__annotations__ else values
        if not fails:
            await check(kind(folder), **arguments)
            continue
        with pytest.raises(
            (AssertionError, pytest.fail.Exception, MediaNotFoundError, FileNotFoundError)
        ):
            await check(kind(folder), **arguments)
