"""One value of a graph or of a task: what in it a host would take for a file, and its bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

NUMBER_LIMIT: Final = 2**64
"""No input of a ComfyUI node takes a larger number."""
TEXT_LENGTH: Final = 200
"""Characters of a text parameter whose rule says nothing else."""
PARAMETERS_LIMIT: Final = 64
"""Parameters of one provider, and of one task."""
SHOWN: Final = 60
"""Characters of a wrong value that are repeated in a message."""
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
"""A file in the folder where it is looked for."""
EMBEDDING: Final = re.compile(r"embedding\s*:", re.IGNORECASE)
"""By this a text encoder loads a file."""
CHARSETS: Final[Mapping[str, re.Pattern[str]]] = {
    "": re.compile(r"[^\x00-\x1f\x7f]*"),
    "name": re.compile(r"[A-Za-z0-9_.-]*"),
    "color": re.compile(r"#[0-9A-Fa-f]{6}"),
}
"""What a text parameter may consist of, by what its rule calls it."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ABSOLUTE: Final = re.compile(r"[/\\~]|[A-Za-z]:[/\\]")
_UPWARDS: Final = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
_OTHER_FOLDER: Final = re.compile(r"\[(input|output|temp)\]\s*$")


def shown(value: object) -> str:
    """Return a value for a message, short whatever it is."""
    if isinstance(value, int) and abs(value) > NUMBER_LIMIT:
        return "a huge number"
    told = repr(value[:SHOWN] if isinstance(value, str) else value)
    return told if len(told) <= SHOWN + 2 else told[:SHOWN] + "…"


def leads_elsewhere(value: str) -> str:
    """Return how a text leads out of the folder it is meant for; empty when it does not."""
    if _URL.search(value):
        return "is a URL"
    if _ABSOLUTE.match(value):
        return "is an absolute path"
    if _UPWARDS.search(value):
        return "leads out of its folder"
    if _OTHER_FOLDER.search(value):
        return "names another folder"
    return ""


def is_encodable(value: str) -> bool:
    """Tell whether a text can be written at all: half a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
