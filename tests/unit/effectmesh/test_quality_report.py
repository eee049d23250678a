"""The report is one page that asks nobody for anything and obeys no file's name."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec import structs

from effectmesh.comparing import Comparison, Scored
from effectmesh.footage.asking import stills
from effectmesh.footage.names import labels
from effectmesh.report.curves import CURVES, HEIGHT, WIDTH
from effectmesh.report.frames import MAX_MOMENTS, Picked, Shown, bounded, picked
from effectmesh.report.page import page
from media.quality import Moment
from schemas.quality import UNKNOWN_VECTOR, QualityVector
from tests.integration.video_intake.footage import write_clip

NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>&.mp4'
VOID = {"meta", "img", "br", "line", "circle", "polyline"}
"""Elements that need no end."""


def moment(second: int, composite: float) -> Moment:
    """Return one second of a curve."""
    return Moment(
        start_ms=second * 1000,
        end_ms=second * 1000 + 1000,
        fidelity=composite,
        artifacts=1.0 - composite,
        temporal_consistency=composite,
        composite=composite,
    )


def scored(
    file: str, values: Sequence[float], *, worst: Sequence[int] = (), rank: int = 1
) -> Scored:
    """Return a result with these composites second by second."""
    curve = tuple(moment(at, value) for at, value in enumerate(values))
    return Scored(
        file=file,
        quality="scored",
        rank=rank,
        tie=False,
        quality_vector=QualityVector(
            fidelity=0.9, artifacts=0.1, style_adherence=0.8, temporal_consistency=0.95
        ),
        composite_score=0.812,
        low=0.7,
        high=0.85,
        confidence=0.9,
        evaluator_version="pixels-2",
        reasons=("lasts 2800 ms, the input 5200 ms",),
        worst=tuple(curve[at] for at in worst),
        curve=curve,
    )


UNKNOWN = structs.replace(
    scored("broken.mp4", ()),
    quality="unknown",
    rank=3,
    quality_vector=UNKNOWN_VECTOR,
    composite_score=0.0,
    low=None,
    high=None,
    confidence=0.0,
    reasons=("the result is unreadable: <b>junk</b>",),
    hint="Render it again.",
)


def comparison(*outputs: Scored, file: str = "in.mp4") -> Comparison:
    """Return a comparison."""
    return Comparison(
        input=file,
        normalized=True,
        effect_type="style_transfer",
        provider_id="",
        evaluator_version="pixels-2",
        outputs=outputs,
    )


def jpeg(level: int) -> bytes:
    """Return a small grey picture."""
    return cv2.imencode(".jpg", np.full((24, 32, 3), level, np.uint8))[1].tobytes()


class Outline(HTMLParser):
    """Checks that elements end in the order in which they began, and collects what is in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """End the innermost element."""
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take words."""
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def full() -> str:
    """Return a page with everything on it, under names that would break one."""
    one, two = scored(NASTY, [0.9, 0.4, 0.8], worst=[1]), scored("b.mp4", [0.8, 0.8, 0.7], rank=2)
    moments = picked([one, two])
    shown = [
        Shown(moment=each, before=jpeg(40), after={NASTY: jpeg(90), "b.mp4": b""})
        for each in moments
    ]
    return page(comparison(one, two, UNKNOWN, file=NASTY), shown)


def test_the_page_is_well_formed_and_self_contained() -> None:
    """It is opened from a disk, perhaps without a network, and forbids itself to load anything."""
    text = full()
    outline = Outline(text)

    assert outline.all("script") == outline.all("link") == []
    assert [
        tag for tag, attributes in outline.tags if any(a.startswith("on") for a in attributes)
    ] == []
    assert re.findall(r"https?:|url\(|@import", text) == []
    assert all((each["src"] or "").startswith("data:image/jpeg") for each in outline.all("img"))
    policy = [each for each in outline.all("meta") if each.get("http-equiv")]
    assert (policy[0]["content"] or "").startswith("default-src 'none'")


def test_it_is_readable_on_a_phone_and_in_the_dark() -> None:
    """A wide table scrolls by itself, and no colour stands without its counterpart."""
    text = full()
    light, dark = text.split("@media (prefers-color-scheme: dark)", 1)

    assert any(each.get("name") == "viewport" for each in Outline(text).all("meta"))
    assert any(each.get("class") == "scroll" for each in Outline(text).all("div"))
    declared = set(re.findall(r"(--\w+):", light))
    assert declared == set(re.findall(r"(--\w+):", dark.split("* {", 1)[0]))
    assert set(re.findall(r"var\((--\w+)\)", text)) <= declared


def test_a_name_is_a_name_and_no_markup() -> None:
    """Neither between elements nor inside an attribute."""
    outline = Outline(full())

    assert NASTY in outline.words
    assert any(NASTY in (each["alt"] or "") for each in outline.all("img"))
    assert "the result is unreadable: <b>junk</b>" in outline.words


def test_every_known_result_has_a_line_in_every_curve() -> None:
    """Inside the drawing, in a class of its own; what is unknown has none."""
    outline = Outline(full())
    lines = outline.all("polyline")

    assert len(lines) == 2 * len(CURVES)
    assert {each["class"] for each in lines} == {"series s0", "series s1"}
    for each in lines:
        points = [tuple(map(float, point.split(","))) for point in (each["points"] or "").split()]
        assert len(points) == 5
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
        assert points == sorted(points, key=lambda point: point[0])


def test_higher_values_are_drawn_higher() -> None:
    """And the best of all touches the top line of the grid."""
    outline = Outline(page(comparison(scored("a.mp4", [0.0, 1.0])), ()))
    [composite, *_] = outline.all("polyline")
    heights = [float(point.split(",")[1]) for point in (composite["points"] or "").split()]
    grid = [float(each["y1"] or 0) for each in outline.all("line") if each["class"] == "grid"]

    assert heights[0] > heights[-1]
    assert heights[-1] in grid


def test_pictures_stand_beside_each_other_where_there_are_some() -> None:
    """They can be decoded, and where a result is over by then, that is said."""
    outline = Outline(full())
    coded = [(each["src"] or "").partition(",")[2] for each in outline.all("img")]

    for each in coded:
        assert cv2.imdecode(np.frombuffer(b64decode(each), np.uint8), cv2.IMREAD_COLOR) is not None
    assert len(coded) == 2 * 2
    assert outline.words.count("it is over by then") == 2


def test_what_is_unknown_is_told_with_what_to_do() -> None:
    """A row that was left out would look like a result that was not compared."""
    words = Outline(full()).words

    assert "unknown: the result is unreadable" in words
    assert "Render it again." in words


def test_a_page_of_nothing_known_is_a_page() -> None:
    """Every result may be broken."""
    outline = Outline(page(comparison(UNKNOWN), ()))

    assert outline.all("polyline") == []
    assert "broken.mp4" in outline.words


def test_the_worst_moment_of_each_comes_before_the_second_worst_of_any() -> None:
    """A result that is bad all over must not crowd the others out; no moment comes twice."""
    bad = scored("bad.mp4", [0.1, 0.2, 0.3, 0.9, 0.9, 0.9, 0.9], worst=[0, 1, 2])
    fair = scored("fair.mp4", [0.9, 0.9, 0.9, 0.5, 0.9, 0.9, 0.9], worst=[3])
    same = scored("same.mp4", [0.2, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9], worst=[0])
    even = scored("even.mp4", [0.8, 0.8, 0.8, 0.8, 0.7, 0.8, 0.8])

    found = picked([fair, bad, same, even])

    assert len(found) == MAX_MOMENTS
    assert [each.start_ms for each in found] == [0, 1000, 2000, 3000]
    assert found[0].file == "bad.mp4"
    [lowest] = picked([even])
    assert (lowest.start_ms, lowest.stands_out) == (4000, False)


def test_a_report_does_not_grow_without_end() -> None:
    """The mildest moments go first."""
    moments = [
        Picked(start_ms=at, end_ms=at + 1, file="a", composite=at / 10, stands_out=True)
        for at in range(3)
    ]
    shown = [Shown(moment=each, before=bytes(400), after={"a": bytes(100)}) for each in moments]

    assert bounded(shown, most=1000) == tuple(shown[:2])
    assert bounded(shown, most=100) == ()


async def test_a_still_shows_what_is_seen_at_its_time(tmp_path: Path) -> None:
    """Upright, within its size, and nothing once the clip is over."""
    clip = write_clip(tmp_path / "a.mp4", frames=25, turn=90)

    found = await stills(clip, [20, 420, 999, 5000], side=80)
    first, later, last = (
        cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_GRAYSCALE) for each in found[:3]
    )

    assert found[3] == b""
    assert first is not None
    assert later is not None
    assert last is not None
    assert first.shape == (80, 44)
    # the bright corner was stored at the top left and is shown at the bottom left
    assert first[60:78, 2:20].mean() > 150 > first[2:30, 2:20].mean()
    # a bar moves one stored row a picture; after the tenth it is at a quarter of the dark half
    assert abs(int(np.argmax(later[5:35].mean(axis=0))) - 10 * 44 / 90) < 3
    assert abs(int(np.argmax(last[5:35].mean(axis=0))) - 24 * 44 / 90) < 3


@pytest.mark.parametrize("content", [b"", b"words" * 100])
async def test_a_file_without_pictures_has_no_stills(tmp_path: Path, content: bytes) -> None:
    """The report is written all the same."""
    clip = tmp_path / "a.mp4"
    clip.write_bytes(content)

    assert await stills(clip, [0, 40], side=80) == [b"", b""]


def test_every_result_has_a_name_of_its_own() -> None:
    """Short where it can be: two files are often both called result.mp4."""
    files = [Path(each) for each in ("a/x.mp4", "b/x.mp4", "c/y.mp4", "c/z.mp4", "c/z.mp4")]

    assert labels([Path("a\x1b[2J.mp4"), Path("x/a\x1b[2J.mp4")])[0] == "a\\x1b[2J.mp4"
    assert labels(files) == ["a/x.mp4", "b/x.mp4", "y.mp4", "c/z.mp4 (#4)", "c/z.mp4 (#5)"]
