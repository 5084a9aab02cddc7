"""A picture of any size and mode becomes ink on paper, step by step."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from backquery.datasets import Dataset, prepare_image
from backquery.datasets.images import MOST_PIXELS, upright_shape
from backquery.errors import DataError
from tests.bounds import MOST_BYTES, MOST_SECONDS, cost


def stroke(height: int = 60, width: int = 40, paper: int = 255, ink: int = 0) -> np.ndarray:
    """A thick L, off the middle."""
    picture = np.full((height, width), paper, np.uint8)
    picture[10:40, 5:10] = ink
    picture[35:40, 5:25] = ink
    return picture


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def centre_of_mass(pixels: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(pixels.shape)
    return (rows * pixels).sum() / pixels.sum(), (columns * pixels).sum() / pixels.sum()


def box(pixels: np.ndarray, above: float = 0) -> tuple[int, int]:
    rows, columns = np.flatnonzero((pixels > above).any(axis=1)), np.flatnonzero((pixels > above).any(axis=0))
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def test_centred_as_mnist_is() -> None:
    pixels = prepare_image(stroke())
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.float64
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert box(pixels) == (20, 13)
    np.testing.assert_allclose(centre_of_mass(pixels), (14, 14), atol=0.5)


@given(st.integers(40, 90), st.integers(26, 90), st.integers(0, 19), st.integers(0, 1), st.sampled_from([1, 2, 3]))
def test_place_and_size_do_not_matter(height: int, width: int, top: int, left: int, times: int) -> None:
    drawing = stroke()[10:40, 5:25]
    page = np.full((height + 12, width), 255, np.uint8)
    page[top + 1 : top + 31, left + 1 : left + 21] = drawing
    page = page.repeat(times, axis=0).repeat(times, axis=1)
    np.testing.assert_allclose(prepare_image(page), prepare_image(stroke()), atol=60)
    assert np.abs(prepare_image(page) - prepare_image(stroke())).mean() < 4


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (200, 30), (40, 180), (128, 60), (100, 190)])
def test_ink_is_what_differs_from_the_border(paper: int, ink: int) -> None:
    np.testing.assert_allclose(prepare_image(stroke(paper=paper, ink=ink)), prepare_image(stroke()), atol=1e-3)


def test_ink_can_be_told() -> None:
    picture = stroke(paper=0, ink=255)
    for ink, like in (("light", "auto"), ("auto", "light")):
        np.testing.assert_array_equal(
            prepare_image(picture, ink=ink),
            prepare_image(picture, ink=like),  # type: ignore[arg-type]
        )
    told = prepare_image(picture, ink="dark", centre=False, shape=picture.shape)
    np.testing.assert_array_equal(told, 255.0 - picture)


def test_without_centring_the_right_size_is_left_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    picture[[0, -1]] = 255
    picture[:, [0, -1]] = 255
    np.testing.assert_array_equal(prepare_image(picture, centre=False), 255.0 - picture)


def test_without_centring_the_whole_picture_is_padded_to_proportion() -> None:
    picture = np.full((40, 20), 255, np.uint8)
    picture[:, 8:12] = 0
    pixels = prepare_image(picture, (10, 10), centre=False)
    columns = pixels.mean(axis=0)
    assert columns[:3].max() == columns[7:].max() == 0
    assert columns[4] == columns[5] > 100
    assert pixels.sum() == pytest.approx(255 * 40 * 4 / 16, rel=0.01)


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (16, 32), (1, 1)])
def test_any_shape_and_maximum(shape: tuple[int, int]) -> None:
    for centre in (True, False):
        pixels = prepare_image(stroke(), shape, 16, centre=centre)
        assert pixels.shape == shape
        assert pixels.min() >= 0
        assert 0 < pixels.max() <= 16


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from([1.0, 16.0, 255.0, 0.1]),
    st.booleans(),
)
def test_pixels_never_leave_the_scale(picture, shape, maximum: float, centre: bool) -> None:
    pixels = prepare_image(picture, shape, maximum, centre=centre)
    assert pixels.shape == shape
    assert pixels.min() >= 0
    assert pixels.max() <= maximum


@pytest.mark.parametrize("value", [0, 7, 128, 255])
@pytest.mark.parametrize("centre", [True, False])
def test_a_blank_picture_stays_blank(value: int, centre: bool) -> None:
    picture = np.full((30, 30), value, np.uint8)
    pixels = prepare_image(picture, centre=centre)
    assert pixels.max() - pixels.min() == 0
    assert pixels.max() < 128
    if centre:
        assert not pixels.any()


def test_noise_on_the_paper_is_not_ink() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(stroke(paper=240, ink=10) + rng.normal(0, 3, (60, 40)), 0, 255)
    assert np.abs(prepare_image(noisy) - prepare_image(stroke())).mean() < 3
    assert not prepare_image(np.clip(rng.normal(240, 1.5, (60, 40)), 0, 255)).any()


def test_the_smallest_mark_is_enough() -> None:
    dot = np.full((50, 50), 255, np.uint8)
    dot[3, 44] = 0
    assert box(prepare_image(dot)) == (20, 20)
    line = np.full((50, 50), 255, np.uint8)
    line[:, 7] = 0
    assert box(prepare_image(line)) == (20, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_every_format(tmp_path: Path, kind: str) -> None:
    content = encoded(Image.fromarray(stroke()), kind)
    path = tmp_path / "picture"
    path.write_bytes(content)
    with path.open("rb") as stream:
        for source in (content, path, str(path), stream):
            np.testing.assert_allclose(prepare_image(source), prepare_image(stroke()), atol=40)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "HSV", "YCbCr", "I", "F"])
def test_every_mode(mode: str) -> None:
    grey = Image.fromarray(stroke())
    if mode == "I":
        image = Image.fromarray(stroke().astype(np.int32) * 257)
    else:
        image = (grey.convert("RGB") if mode in ("CMYK", "HSV") else grey).convert(mode)
    np.testing.assert_allclose(prepare_image(image), prepare_image(stroke()), atol=2)


def test_sixteen_bits_a_pixel() -> None:
    deep = Image.fromarray(stroke().astype(np.uint16) * 257)
    assert deep.mode.startswith("I;16")
    np.testing.assert_allclose(prepare_image(encoded(deep, "PNG")), prepare_image(stroke()), atol=1e-3)


def test_transparency_shows_white_paper() -> None:
    picture = np.zeros((60, 40, 4), np.uint8)
    picture[..., 3] = 255 - stroke()
    np.testing.assert_array_equal(prepare_image(picture), prepare_image(stroke()))
    palette = Image.fromarray(stroke()).quantize(2)
    paper = palette.getpixel((0, 0))
    content = encoded(palette, "PNG", transparency=paper)
    np.testing.assert_allclose(prepare_image(content), prepare_image(stroke()), atol=2)


def test_colour_becomes_grey_by_luma() -> None:
    colours = np.zeros((1, 3, 3), np.uint8)
    colours[0] = np.diag([255, 255, 255])
    pixels = prepare_image(colours, (1, 3), ink="light", centre=False)
    np.testing.assert_allclose(pixels[0], [0.299 * 255, 0.587 * 255, 0.114 * 255], atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation: int) -> None:
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(undo[orientation](stroke()))), "PNG", exif=exif)
    assert upright_shape(content) == (60, 40)
    np.testing.assert_array_equal(prepare_image(content), prepare_image(stroke()))


def test_only_the_first_frame_counts() -> None:
    other = Image.fromarray(np.full((60, 40), 255, np.uint8))
    content = encoded(Image.fromarray(stroke()), "GIF", save_all=True, append_images=[other])
    np.testing.assert_allclose(prepare_image(content), prepare_image(stroke()), atol=2)


def test_the_given_image_stays_open_and_unchanged() -> None:
    image = Image.fromarray(stroke())
    prepare_image(image)
    np.testing.assert_array_equal(np.asarray(image), stroke())


def huge_png(side: int) -> bytes:
    """A PNG's header that announces `side` x `side` pixels, and nothing behind it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(99)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.needs("/proc")
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_the_largest_pictures_take_bounded_time_and_memory(mode: str, shape: tuple[int, ...]) -> None:
    content = encoded(Image.new(mode, (7_071, 7_071)), "PNG")
    seconds, held = cost(lambda: prepare_image(content, shape))
    assert seconds < MOST_SECONDS and held < MOST_BYTES


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {}), ("JPEG", {"progressive": True})])
def test_what_a_decoder_needs_more_memory_for_is_bounded_earlier(kind: str, options: dict[str, object]) -> None:
    content = encoded(Image.new("RGB", (5_001, 5_000)), kind, **options)
    with pytest.raises(DataError, match="5000000 pixels; scale it down first"):
        prepare_image(content)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_large_picture_is_that_picture_made_smaller(orientation: int) -> None:
    small = Image.fromarray(np.kron(stroke(), np.ones((4, 4), np.uint8)))
    large = small.resize((small.width * 20, small.height * 20), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pictures = [encoded(image, "PNG", exif=exif) for image in (small, large)]
    np.testing.assert_allclose(*map(prepare_image, pictures), atol=8)


@pytest.mark.parametrize("side", [7_072, 9_600, 60_000])
def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(huge_png(side))
    with pytest.raises(DataError, match=rf"bomb\.png: .*({MOST_PIXELS} pixels|exceeds limit)"):
        prepare_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as PNG, JPEG, BMP, WEBP, GIF"),
        (b"not a picture", "cannot be read as PNG"),
        (encoded(Image.fromarray(stroke()), "PNG")[:-60], "cannot be read as PNG"),
        (encoded(Image.fromarray(stroke()), "PPM"), "cannot be read as PNG"),
    ],
)
def test_broken_pictures_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"broken\.png: {message}"):
        prepare_image(path)
    with pytest.raises(DataError, match=f"the picture: {message}"):
        prepare_image(content)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"picture": np.zeros((2, 2, 2))}, "an array must be a picture"),
        ({"picture": np.zeros(4)}, "an array must be a picture"),
        ({"picture": np.zeros((0, 4))}, "an array must be a picture"),
        ({"picture": np.full((2, 2), np.nan)}, "between 0"),
        ({"picture": np.full((2, 2), 256)}, "between 0"),
        ({"ink": "red"}, "ink must be"),
        ({"shape": (28,)}, "a shape of height and width"),
        ({"shape": (0, 28)}, "a shape of height and width"),
        ({"maximum": 0}, "a maximum above 0"),
        ({"box_share": 1.5}, "box share"),
    ],
)
def test_unusable_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare_image(**{"picture": stroke(), **arguments})  # type: ignore[arg-type]


def test_mnist_prepared_again_is_mnist(mnist: Dataset) -> None:
    """Real digits, scaled up, printed dark on light and moved, come back to where MNIST has them."""
    differences = []
    for original in mnist.train.images[:200]:
        page = np.full((400, 300), 235, np.uint8)
        large = np.asarray(Image.fromarray(original).resize((224, 224), Image.Resampling.BICUBIC))
        page[100:324, 20:244] = 235 - (large * (235 / 255)).astype(np.uint8)
        differences.append(np.abs(prepare_image(page) - original).mean())
    assert np.median(differences) < 8
    assert np.mean(differences) < 10
