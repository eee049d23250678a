"""Which texts may be an id: what may stand in a subject and in a file name, and nothing else."""

from __future__ import annotations

import re
from typing import Final

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_id(text: str) -> bool:
    """Tell whether a text can be the id of anything.

    >>> is_id("job_1"), is_id("../etc"), is_id("evt.>"), is_id("")
    (True, False, False, False)
    """
    return _ID.fullmatch(text) is not None
