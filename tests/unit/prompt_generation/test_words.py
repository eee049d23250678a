"""Prompts are cut where it hurts least, and never within what names the effect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.prompt_generation.words import (
    alike,
    plain,
    quoting,
    tokens,
    within,
)

OURS = "Warm grade of dark footage, golden highlights, gentle contrast, motion unchanged."


def test_a_prompt_within_its_budget_is_left_alone() -> None:
    """Nothing is improved by cutting."""
    assert within(OURS, tokens(OURS)) == OURS


@pytest.mark.parametrize(
    ("budget", "kept"),
    [
        (24, "Warm grade of dark footage, golden highlights, gentle contrast"),
        (18, "Warm grade of dark footage, golden highlights"),
        (8, "Warm grade of dark footage"),
        (5, "Warm grade of dark"),
        (1, "Warm"),
        (0, ""),
    ],
)
def test_phrases_go_from_behind_and_whole(budget: int, kept: str) -> None:
    """The most important phrase stands in front; half a phrase says something else."""
    assert within(OURS, budget) == kept
    assert tokens(kept) <= budget


@given(st.text(max_size=300), st.text(max_size=300), st.integers(min_value=40, max_value=225))
def test_no_words_ever_go_over_the_budget(ours: str, wish: str, budget: int) -> None:
    """Whatever is written, by whomever."""
    said = quoting(plain(ours, limit=1_200), plain(wish), budget=budget)

    assert tokens(said) <= budget


def test_a_long_wish_takes_its_share_and_no_more() -> None:
    """What the effect is must stay, and what the user wants must be heard."""
    said = quoting(OURS, plain("one two three four five " * 100), budget=75)
    before, quoted, _ = said.split('"')

    assert before.startswith("Warm grade of dark footage, golden highlights")
    assert quoted.startswith("one two three four five")
    assert tokens(said) <= 75


def test_a_short_wish_leaves_our_words_whole() -> None:
    """Its share is a limit, not a reservation."""
    assert quoting(OURS, "like 1970", budget=75).startswith(OURS)


def test_a_wish_without_blanks_is_cut_within() -> None:
    """Japanese has none; dropping all of it would be dropping the user's word."""
    said = quoting(OURS, "東京の夜" * 50, budget=75)

    assert '"東京の夜' in said
    assert tokens(said) <= 75


@pytest.mark.parametrize(
    ("words", "clip"),
    [
        ("cinematic warm color grade, golden highlights", 7),
        ("no flicker, no banding, no watermark", 9),
        ("東京の夜", 6),
        ("привет мир красивый", 20),
        ("안녕하세요", 10),
    ],
)
def test_the_count_is_not_below_the_encoder_s(words: str, clip: int) -> None:
    """Measured with CLIP's own vocabulary; counted too low, the end would be lost unseen."""
    assert clip <= tokens(words) <= 2.5 * clip


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("warm light, soft shadows", "Soft shadows, warm light.", 1.0, 1.0),
        ("warm light", "cold light", 0.4, 0.6),
        ("warm light", "", 0.0, 0.0),
        ("", "", 1.0, 1.0),
    ],
)
def test_likeness_is_of_words_and_not_of_order(
    one: str, other: str, least: float, most: float
) -> None:
    """A phrase that moved is the same prompt; a word that changed is not."""
    assert least <= alike(one, other) <= most
