"""The judge that measures pixels, in a child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from actors.runtime.contract import TryLater
from media.errors import SandboxBrokenError
from media.quality import Verdict
from media.quality_sandbox import CHILDREN, ScoringPool

_AGAIN_S = 30.0


class PixelJudge:
    """Decodes and measures, at most ``children`` pairs at a time."""

    def __init__(self, *, children: int = CHILDREN) -> None:
        self._pool = ScoringPool(children=children)

    async def judge(
        self, *, source: Path, result: Path, effect_type: str, look: Mapping[str, float]
    ) -> Verdict:
        """Measure two local files; what cannot be measured is an unknown verdict, not an error.

        Raises:
            TryLater: no child could be started, which is no fault of the files.
        """
        try:
            return await self._pool.score(
                source=source, result=result, effect_type=effect_type, look=look
            )
        except SandboxBrokenError as error:
            raise TryLater(str(error), retry_after=_AGAIN_S) from error
