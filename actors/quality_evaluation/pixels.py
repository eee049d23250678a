"""The judge that measures pixels, in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from anyio import to_thread

from media.frames import UnreadableFootageError, load, small_size
from media.quality import Verdict, evaluate, unknown


class PixelJudge:
    """Decodes and measures; the libraries below release the interpreter while they work."""

    async def judge(
        self, *, source: Path, result: Path, effect_type: str, look: Mapping[str, float]
    ) -> Verdict:
        """Measure two local files; what cannot be measured is an unknown verdict, not an error."""
        work = partial(_judge, source, result, effect_type=effect_type, look=dict(look))
        return await to_thread.run_sync(work)


def _judge(source: Path, result: Path, *, effect_type: str, look: Mapping[str, float]) -> Verdict:
    try:
        before = load(source)
    except UnreadableFootageError as error:
        return unknown(f"the input is unreadable: {error}")
    try:
        after = load(result, size=small_size(before.width, before.height))
    except UnreadableFootageError as error:
        return unknown(f"the result is unreadable: {error}")
    return evaluate(before, after, effect_type=effect_type, look=look)
