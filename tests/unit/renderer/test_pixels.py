"""Pixel arithmetic beyond the recorded cases: any order, any size, any parameter."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_agent.renderer.nodes.values import Held
from gpu_agent.renderer.pixels import edges, grading, lettering, palettes, porterduff
from gpu_agent.renderer.pixels.noises import Noise

WHITE = (255, 255, 255, 255)


def images(count: int, height: int, width: int) -> Held:
    """Return some black images."""
    return Held([np.zeros((height, width, 3), np.float32)] * count)


@pytest.mark.parametrize(("height", "width"), [(8, 16), (7, 5)])
def test_noise_is_the_same_in_any_order(height: int, width: int) -> None:
    """A looped clip asks for the first frame again; torch draws for the whole batch at once."""
    batch = images(4, height, width)
    straight = [Noise(7, batch).frame(index).copy() for index in range(4)]
    noise = Noise(7, batch)

    for index in (2, 0, 3, 1, 1):
        assert np.array_equal(noise.frame(index), straight[index])
    assert len({frame.tobytes() for frame in straight}) == 4


def test_noise_begins_with_torchs_numbers() -> None:
    """``torch.manual_seed(0); torch.randn(16)``, as its documentation and many a tutorial show."""
    drawn = Noise(0, images(1, 2, 8)).frame(0).ravel()

    assert np.allclose(drawn[:5], [-1.1258, -1.1524, -0.2506, -0.4339, 0.8487], atol=1e-4)


@pytest.mark.parametrize("colors", [1, 2, 3, 17, 256])
@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-16"])
def test_an_image_has_no_more_colours_than_asked_for(colors: int, dither: str) -> None:
    """Whatever the dither does, it does with the palette."""
    image = np.random.default_rng(3).integers(0, 256, (23, 31, 3), np.uint8)
    reduced = palettes.quantize(image, colors, dither)

    assert len(np.unique(reduced.reshape(-1, 3), axis=0)) <= colors
    assert reduced.shape == image.shape


def test_an_image_with_few_colours_keeps_them() -> None:
    """Boxes of one colour are not cut any more."""
    image = np.zeros((6, 6, 3), np.uint8)
    image[:3] = (200, 100, 52)

    assert np.array_equal(palettes.quantize(image, 16, "none"), image)


def test_an_image_of_more_colours_than_are_counted_is_reduced_all_the_same() -> None:
    """Film grain in full HD has hundreds of thousands."""
    image = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    middle = palettes.palette(image, 1)

    assert np.abs(middle.astype(int) - 127).max() <= 1
    assert len(palettes.palette(image, 8)) == 8


def test_edges_lie_where_the_brightness_jumps() -> None:
    """One line, one pixel wide, between the halves."""
    image = np.zeros((20, 20, 3), np.float32)
    image[:, 10:] = 1
    found = edges.canny(image, 0.1, 0.3)

    assert set(np.unique(found)) == {0, 1}
    assert {9, 10} >= set(np.flatnonzero(found[10, :, 0])) != set()
    assert not edges.canny(image * 0, 0.1, 0.3).any()


def test_a_weak_edge_counts_only_beside_a_strong_one() -> None:
    """That is what the two thresholds are for."""
    image = np.zeros((40, 20, 3), np.float32)
    fading = np.linspace(1, 0.12, 40, dtype=np.float32)[:, None, None]
    # half way up in between, so that one column is clearly the steepest
    image[:, 11:], image[:, 10:11] = fading, fading / 2
    alone = np.broadcast_to(image[-1:], image.shape)

    assert edges.canny(image, 0.2, 0.9)[35].any()
    assert not edges.canny(alone, 0.2, 0.9).any()


@pytest.mark.parametrize("mode", list(porterduff.RULES))
def test_layers_stay_within_bounds(mode: str) -> None:
    """Premultiplied colours are divided by tiny opacities."""
    dice = np.random.default_rng(5)
    source, target = (dice.random((5, 6, 3), np.float32) for _ in range(2))
    masks = [dice.random((5, 6), np.float32).round(1) for _ in range(2)]
    image, mask = porterduff.composite(source, masks[0], target, masks[1], mode)

    assert np.isfinite(image).all()
    assert 0 <= image.min() <= image.max() <= 1
    assert mask.shape == (5, 6)


@pytest.mark.parametrize("method", list(grading.METHODS))
def test_statistics_of_parts_add_up_to_those_of_the_whole(method: str) -> None:
    """A whole clip is never in memory, so its statistics are summed frame by frame."""
    dice = np.random.default_rng(2)
    frames = [dice.random((8, 9, 3), np.float32) ** (1 + i) for i in range(3)]
    wanted = grading.METHODS[method](dice.random((4, 4, 3), np.float32))
    whole = grading.METHODS[method](np.concatenate(frames))
    summed = grading.METHODS[method]()
    for frame in frames:
        summed += grading.METHODS[method](frame)
    one, other = (grading.moved(frames[1], stats.towards(wanted), 0.5) for stats in (whole, summed))

    assert np.allclose(one, other, atol=1e-5)


def test_text_is_as_wide_as_its_letters_together() -> None:
    """Lines are broken by this."""
    font = lettering.font()

    assert font.width("Take", 20) == sum(font.advance(char, 20) for char in "Take")
    assert font.width("MMM", 20) > font.width("iii", 20)
    assert font.width("\u4e00", 20) == font.advance("", 20)


@pytest.mark.parametrize("size", [1, 6, 13, 48, 230])
def test_ink_lies_within_the_extent(size: int) -> None:
    """A block is placed by it; ink beyond would be cut off at the edge of the image."""
    style = lettering.Style(size=size, stroke=max(1, size // 25), color=WHITE)
    first, end = lettering.extent(["Qjg"], style, 0)
    top = 20 - first
    line = lettering.Line("Qjg", 20, top + lettering.font().ascent(size))
    layer = lettering.draw([line], style, size * 3 + 40, size * 2 + 40)
    rows = np.flatnonzero(layer[..., 3].any(axis=1))

    assert rows[0] >= 20
    assert rows[-1] < 20 + end - first
