"""The user's words are data: to the engine, to the encoder behind, to a model that rewrites."""

from __future__ import annotations

import re
import unicodedata

import msgspec
import pytest

from actors.prompt_generation import rewriting
from actors.prompt_generation.words import MAX_PROMPT, MAX_WISH, drawn, plain, tokens
from tests.builders import content_analyzed, effect_request
from tests.unit.prompt_generation.hostile import HOSTILE, MARKUP
from tests.unit.prompt_generation.world import (
    ScriptedRewriter,
    asking,
    module,
    prompts,
    template,
)

EACH = pytest.mark.parametrize("wish", HOSTILE.values(), ids=HOSTILE)
BEFORE = 'In the words of the user: "'


@EACH
@pytest.mark.parametrize("effect_type", ["color_correction", "style_transfer", "unheard_of"])
async def test_the_user_s_words_are_only_words(wish: str, effect_type: str) -> None:
    """They stand between one pair of quotes, and nothing between them is markup."""
    said = await prompts(content_analyzed(request=effect_request(effect_type, wish)))
    unasked = await prompts(content_analyzed(request=effect_request(effect_type)))

    for variant, without in zip(said.prompt_variants, unasked.prompt_variants, strict=True):
        ours = without.prompt_text.rstrip(".")
        assert variant.prompt_text.startswith(ours)
        assert variant.parameters == without.parameters
        assert variant.negative_prompt == without.negative_prompt
        if not plain(wish):
            assert variant.prompt_text == without.prompt_text
            continue
        before, quoted, after = variant.prompt_text.split('"')
        assert (before, after) == (f"{ours}. In the words of the user: ", ".")
        assert not set(quoted) & MARKUP
        assert quoted.isprintable()
        assert not re.search(r"(?:[\u0300-\u036f]){3}", unicodedata.normalize("NFC", quoted))
        assert "49" not in quoted
        assert "--" not in quoted
        assert not {"AND", "BREAK", "ADDCOMM"} & set(quoted.split())
        variant.prompt_text.encode()


@EACH
async def test_no_wish_makes_a_prompt_longer_than_its_budget(wish: str) -> None:
    """Length costs tokens at the encoder, and hides what we ask."""
    said = await prompts(content_analyzed(request=effect_request(wish=wish)))

    for variant in said.prompt_variants:
        assert tokens(variant.prompt_text) <= template("color_correction.cinematic_warm").max_tokens
        assert len(variant.prompt_text) <= MAX_PROMPT


@EACH
async def test_a_caption_is_drawn_and_not_obeyed(wish: str) -> None:
    """It keeps its punctuation, because it is read by people; braces and control signs go."""
    said = await prompts(content_analyzed(request=asking("text_overlay", "caption", wish)))

    for variant in said.prompt_variants:
        assert variant.prompt_text.isprintable()
        assert not set(variant.prompt_text) & set("{}<>|\\`")
        assert "49" not in variant.prompt_text
        assert len(variant.prompt_text) <= MAX_WISH


@EACH
async def test_a_rewriter_is_shown_the_wish_as_one_value(wish: str) -> None:
    """What a user wrote cannot end the value and begin a message of its own."""
    rewriter = ScriptedRewriter(*[["x"]] * 3)

    await prompts(content_analyzed(request=effect_request(wish=wish)), module(rewriter=rewriter))

    [brief] = rewriter.told
    body = msgspec.json.encode(brief)
    assert msgspec.json.decode(body, type=rewriting.Brief) == brief
    assert not set(brief.wish) & MARKUP
    assert len(brief.wish) <= MAX_WISH
    assert set(msgspec.json.decode(body)) == {"effect_type", "prompts", "facts", "wish"}


@pytest.mark.parametrize("name", ["{{ 7 * 7 }}", "a" * 5000, "x\ny", "東" * 500])
async def test_an_effect_s_name_is_only_a_word_too(name: str) -> None:
    """It comes from the user's order as well, and into the generic prompt."""
    said = await prompts(content_analyzed(request=asking(name, name)))

    for variant in said.prompt_variants:
        assert "49" not in variant.prompt_text
        assert "{" not in variant.prompt_text
        assert "\n" not in variant.prompt_text
        assert tokens(variant.prompt_text) <= template("generic").max_tokens


def test_words_of_every_language_pass() -> None:
    """Cleaning must not be a ban on writing."""
    for words in ("Grüße aus Köln", "東京の夜", "привет, мир", "don't stop", "कि ताब", "🎬 cut!"):
        assert plain(words) == unicodedata.normalize("NFKC", words)
        assert drawn(words) == words


def test_a_caption_keeps_its_punctuation() -> None:
    """People read it."""
    assert drawn('Paris: 100% "fun" (2024) #1 & more') == 'Paris: 100% "fun" (2024) #1 & more'
