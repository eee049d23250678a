"""Words as data: cleaned, quoted, and cut to what an encoder reads.

What users write is never an instruction: not to the template engine, not to a prompt encoder
(weights, embeddings, LoRA tags), not to a language model that rewrites prompts.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Final

MAX_WISH: Final = 200
"""Characters of the user's words that go into a prompt."""
MAX_PROMPT: Final = 1_200
WISH_SHARE: Final = 0.6
"""Of a prompt's tokens, what the user's words may take when both do not fit."""
LETTERS_A_TOKEN: Final = 4
"""English takes fewer: over 273 sentences a count made with this was 1.0 to 2.0 times what CLIP's
own vocabulary gives, 1.34 times in all. What is no language at all takes up to four times as many
tokens as are counted; other scripts take at most as many as they have bytes, which is counted."""

_BEFORE: Final = ' In the words of the user: "'
_AFTER: Final = '".'
_MARKUP: Final = re.compile(r"[{}\[\]()<>|\\`\"«»“”„‟*#_$%^~:=;@&]|-{2,}")
"""What a template engine, an encoder or a language model would read as an instruction."""
_BRACES: Final = re.compile(r"[{}<>|\\`]")
"""What not even a caption may have: it is drawn, but graphs and logs carry it."""
_KEYWORDS: Final = re.compile(r"\b(?:AND|OR|BREAK|ADDCOMM|ADDBASE|ADDCOL|ADDROW|TOPPER)\b")
"""Words that some encoders obey when they are in capitals."""
_BLANK: Final = re.compile(r"\s+")
_LOOSE: Final = re.compile(r" +([,.])")
_BORDER: Final = re.compile(r"(?<=[,.;:])\s+")
_PIECE: Final = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")
_MARKS: Final = 2
"""Marks on one letter that are writing; more are a tower."""


def plain(words: str, *, limit: int = MAX_WISH) -> str:
    """Return words without markup, on one line, of bounded length.

    >>> plain("make it {{ 7 * 7 }} (warm:1.9) <lora:x>")
    'make it 7 7 warm 1.9 lora x'
    """
    # wide brackets and the like become the narrow ones before they are looked for
    folded = unicodedata.normalize("NFKC", words[: 4 * limit])
    clean = _MARKUP.sub(" ", _printable(folded))
    return _line(_KEYWORDS.sub(lambda found: found[0].lower(), clean), limit)


def drawn(words: str) -> str:
    """Return words that are drawn into a picture: as they were written, on one line.

    >>> drawn("Paris: 9 > 8 {x}")
    'Paris: 9 8 x'
    """
    folded = unicodedata.normalize("NFC", words[: 4 * MAX_WISH])
    return _line(_BRACES.sub(" ", _printable(folded)), MAX_WISH)


def tidy(words: str) -> str:
    """Return rendered words on one line, without blanks before commas.

    >>> tidy(" a warm  look , please ")
    'a warm look, please'
    """
    return _LOOSE.sub(r"\1", _BLANK.sub(" ", words)).strip()[:MAX_PROMPT]


def tokens(words: str) -> int:
    """Return about how many tokens an encoder of CLIP's kind makes of words.

    >>> tokens("a photochemical look, 35 mm")
    10
    """
    return sum(_size(piece) for piece in _PIECE.findall(words))


def within(words: str, budget: int) -> str:
    """Return as many phrases as fit, from the front; of the first one as many words as fit.

    >>> within("warm grade of a street, golden highlights, deep shadows", 9)
    'warm grade of a street'
    """
    if tokens(words) <= budget:
        return words
    kept, *rest = _BORDER.split(words)
    if tokens(kept) > budget:
        return _words_within(kept, budget)
    for phrase in rest:
        if tokens(f"{kept} {phrase}") > budget:
            break
        kept = f"{kept} {phrase}"
    return kept.rstrip(",;:")


def quoting(words: str, wish: str, *, budget: int) -> str:
    """Return a prompt of our words and, quoted behind them, the user's.

    Ours give way first, from the end, until the user's have their share; then the user's do. What
    the effect is stands in our first phrase, which stays.

    >>> quoting("Warm grade, soft light.", "like 1970", budget=75)
    'Warm grade, soft light. In the words of the user: "like 1970".'
    """
    if not wish:
        return within(words, budget)
    frame = tokens(_BEFORE + _AFTER)
    share = min(tokens(wish), math.floor((budget - frame) * WISH_SHARE))
    ours = within(words, budget - frame - share)
    theirs = _words_within(wish, budget - frame - tokens(ours))
    if not theirs:
        return ours
    closed = ours if ours.endswith(".") else f"{ours.rstrip(',;:')}."
    return f"{closed}{_BEFORE}{theirs}{_AFTER}"


def alike(one: str, other: str) -> float:
    """Return how much two texts say in the same words, from 0 to 1, whatever their order.

    Twice the words in common over the words of both, as sets.

    >>> alike("Warm light, soft shadows", "soft shadows and warm light")
    0.889
    """
    first, second = vocabulary(one), vocabulary(other)
    if not first or not second:
        return float(first == second)
    return round(2 * len(first & second) / (len(first) + len(second)), 3)


def vocabulary(text: str) -> frozenset[str]:
    """Return the words of a text, small."""
    return frozenset(re.findall(r"\w+", text.lower()))


def _size(piece: str) -> int:
    if not piece.isascii():
        return len(piece.encode())
    return math.ceil(len(piece) / LETTERS_A_TOKEN)


def _words_within(words: str, budget: int) -> str:
    kept = ""
    for word in words.split(" "):
        longer = f"{kept} {word}" if kept else word
        if tokens(longer) > budget:
            break
        kept = longer
    # a script without blanks, or one endless word, is cut where it must be
    return kept or _signs_within(words, budget)


def _signs_within(words: str, budget: int) -> str:
    end = 0
    while end < len(words) and tokens(words[: end + 1]) <= budget:
        end += 1
    return words[:end].rstrip()


def _printable(words: str) -> str:
    """Return words without control signs, and with no more than two marks on a letter."""
    kept: list[str] = []
    marks = 0
    for sign in words:
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks <= _MARKS:
            kept.append(sign if sign.isprintable() else " ")
    return "".join(kept)


def _line(words: str, limit: int) -> str:
    return _BLANK.sub(" ", words).strip()[:limit].rstrip()
