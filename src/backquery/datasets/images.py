"""One picture of any size and mode becomes raw pixels as a network knows them: ink on paper, in its shape.

The steps, in order:

1. The picture is turned upright as its EXIF data say, only its first frame is used, transparency shows white
   paper, and colour becomes grey (ITU-R 601 luma, as in Pillow).
2. A frame around it, of one shade and next to another, is cut off.
   Ink: where the border is bright, ink is what is dark, otherwise what is bright (`ink` settles it).
3. A photograph in uneven light is cleaned by the steps of `backquery.datasets.photographs` (`light` settles it).
4. `centre`, as MNIST was made: the paper's own shade is taken away, the box around the ink is scaled without
   distortion until it just fits 20/28 of the shape, the strongest ink becomes full ink, and the whole is
   moved until its centre of mass lies in the middle (on pixel 14, 14 of 28 x 28). Without `centre` the
   picture is padded with paper to the shape's proportions and scaled.

Scaling is antialiased. A blank picture stays blank.

In colour, which a shape of (height, width, 3) asks for, a picture is turned upright, its transparency shows white,
and the whole is padded with black and scaled: nothing is turned over, cut off, cleaned or moved.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.frames import border, frame_width, within_frame
from backquery.datasets.options import Ink, check_ink
from backquery.datasets.photographs import (
    Brightness,
    Page,
    ink_is_darker,
    may_be_photograph,
    read_page,
    within,
)
from backquery.errors import DataError, assume
from backquery.model import Shape

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | os.PathLike[str] | bytes | IO[bytes] | NDArray[Any] | Image

Light = Literal["auto", "even", "uneven"]
Colours = NDArray[np.uint8]

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".webp": "WEBP", ".gif": "GIF",
    ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
"""The pictures that are read, by the end of their names; the decoders of other formats are not tried."""

PHONES = (".heic", ".heif")
"""What phones write photographs in, and Pillow does not read."""

MOST_PIXELS = 50_000_000
"""Larger pictures are refused before they are decoded."""

MOST_BY_DECODER = {"WEBP": 15_000_000, "progressive": 25_000_000}
"""The same where a decoder needs several times as much memory for a pixel."""

MOST_IN_FULL = 5_000_000
"""Pixels of a picture that is taken as it is; a larger one is made smaller first, by a whole factor."""

STRIP = 1_000_000
"""Pixels of a large picture that are converted at a time."""

BOX_SHARE = 20 / 28
"""MNIST's digits fit a box of 20 pixels in images of 28."""

FAINTEST_INK = 0.2
"""The box is drawn around what has at least this share of the strongest ink: noise must not widen it."""

_ORIENTATION = 0x0112  # the EXIF tag; from 5 on, its values mean a picture lying on its side

BLANK = 12.0
"""Of 255: a picture whose brightness varies by no more has nothing drawn on it."""


def prepare_image(
    picture: Picture,
    shape: Shape = (28, 28),
    maximum: float = 255.0,
    *,
    ink: Ink = "auto",
    light: Light = "auto",
    centre: bool = True,
    box_share: float = BOX_SHARE,
) -> NDArray[np.float64]:
    """Raw pixels of `shape`, 0 for paper to `maximum` for ink, from a picture by the steps of this module.

    Of a shape (height, width, 3) they are red, green and blue, 0 for none of it.

    `picture` is a path, the bytes of a file, an open binary file, a Pillow image, or an array (height, width)
    or (height, width, 3 or 4) of brightness from 0 (black) to 255 (white). `ink` is ``"dark"`` or ``"light"``
    for what was drawn, or ``"auto"``; `light` is ``"uneven"`` for a photograph with shadows, which are then
    taken away, ``"even"`` for any other picture, or ``"auto"``, which warns where it takes a picture for such a
    photograph; with ``centre=False`` the picture is only scaled, else what was drawn is fitted into `box_share`,
    between 0 and 1, of each side. What cannot be decoded or has more than 50 million pixels (25 in a progressive
    JPEG, 15 in WebP) raises `DataError`.
    """
    return prepare_steps(picture, shape, maximum, ink=ink, light=light, centre=centre, box_share=box_share).pixels


@dataclass(frozen=True, eq=False)
class Preparation:
    """What became of a picture, step by step."""

    given: Brightness
    """The picture upright (height, width), 0 for black to 255 for white; in colour (height, width, 3)."""
    paper: Brightness
    """What the paper alone shows at each place, 0 to 255: one shade, but for a photograph in uneven light.
    In colour there is none, and it is black."""
    ink: Brightness
    """The ink that was found, 0 to 255, in the shape of `paper`; of a large photograph that is smaller. In colour
    all of the picture."""
    pixels: NDArray[np.float64]
    """Raw pixels in the shape asked for, 0 for paper to the maximum for ink."""
    dark_ink: bool
    """Whether what was drawn is darker than the paper, and was turned."""
    uneven: bool
    """Whether it was cleaned as a photograph in uneven light."""
    framed: bool = False
    """Whether a frame around it was cut off."""

    @property
    def blank(self) -> bool:
        """Whether there is nothing on it to be read: no ink, or in colour one shade all over."""
        return float(np.ptp(self.ink)) <= BLANK or not np.ptp(self.pixels)

    def within(self, side: int) -> Preparation:
        """The same with pictures of at most `side` pixels, to be looked at; the raw pixels stay as they are."""
        given, paper, ink = (_within(each, side) for each in (self.given, self.paper, self.ink))
        return replace(self, given=given, paper=paper, ink=ink)


def prepare_steps(
    picture: Picture,
    shape: Shape = (28, 28),
    maximum: float = 255.0,
    *,
    ink: Ink = "auto",
    light: Light = "auto",
    centre: bool = True,
    box_share: float = BOX_SHARE,
) -> Preparation:
    """All that `prepare_image` does, from the picture as given to the raw pixels of `shape`, 0 to `maximum`.

    The arguments, `box_share` among them (between 0 and 1), and the errors, `DataError`, are the same.
    """
    _check_choices(ink, light)
    height, width, *colours = shape if len(shape) > 1 else (0, 0)
    if min(height, width) < 1 or colours not in ([], [3]) or not 0 < box_share <= 1 or not maximum > 0:
        raise DataError(
            "a shape of height and width (and 3 for colours), a maximum above 0 and a box share in (0, 1] are "
            f"needed; received {shape}, {maximum} and {box_share}"
        )
    if colours:
        return _in_colour(picture, (height, width), maximum, ink)
    shape = (height, width)
    given = read_brightness(picture)
    inner = within_frame(given[None], frame_width(given[None]))[0]
    # A picture that is taken pixel by pixel keeps its frame, as the model's own images would.
    brightness = inner if centre or given.shape != shape else given
    page = _photographed(picture, brightness, ink, light)
    dark = _darkness(ink, inner, ink_is_dark) if page is None else page.dark_ink
    paper, drawing = _as_it_is(brightness, dark, centre) if page is None else (page.light, page.ink)
    pixels = _centred(drawing, shape, box_share) if centre else _fitted(drawing, shape)
    # Rounding must not take the strongest ink beyond the scale, where it would be refused.
    raw = np.minimum(pixels.astype(np.float64) * (maximum / 255), maximum)
    return Preparation(given, paper, drawing, raw, dark, page is not None, brightness.shape != given.shape)


def _within(values: Brightness, side: int) -> Brightness:
    """A picture of at most so many pixels a side, in grey or in colour."""
    if values.ndim == 2:
        return within(values, side)
    return np.stack([within(np.ascontiguousarray(one), side) for one in np.moveaxis(values, -1, 0)], axis=-1)


def _in_colour(picture: Picture, shape: tuple[int, int], maximum: float, ink: Ink) -> Preparation:
    """A picture as it is, in colour, brought to the shape."""
    if ink == "dark":
        raise DataError(f"{_name(picture)}: dark ink is turned over in grey alone; in colour 0 is black")
    given = read_colours(picture).astype(np.float32)
    fitted = [_fitted(np.ascontiguousarray(channel), shape) for channel in np.moveaxis(given, -1, 0)]
    raw = np.minimum(np.stack(fitted, axis=-1).astype(np.float64) * (maximum / 255), maximum)
    return Preparation(given, np.zeros(given.shape[:2], np.float32), given, raw, False, False)


def _check_choices(ink: Ink, light: Light) -> None:
    check_ink(ink)
    if light not in get_args(Light):
        raise DataError(f"light must be 'auto', 'even' or 'uneven'; received {light!r}")


def _photographed(picture: Picture, brightness: Brightness, ink: Ink, light: Light) -> Page | None:
    """What a photograph in uneven light holds; None for any other picture."""
    if light == "even" or (light == "auto" and not may_be_photograph(brightness)):
        return None
    page = read_page(brightness, _darkness(ink, brightness, ink_is_darker))
    if light == "auto":
        if not page.in_uneven_light:
            return None
        assume(
            f"{_name(picture)}: taken for a photograph of {'dark' if page.dark_ink else 'light'} ink in uneven "
            "light, whose shadows are taken away; if it is none, say so by --light even (light='even')"
        )
    return page


def _darkness(ink: Ink, brightness: Brightness, found: Callable[[Brightness], bool]) -> bool:
    """Whether dark ink was drawn: as is said, or else as is found."""
    return found(brightness) if ink == "auto" else ink == "dark"


def _as_it_is(brightness: Brightness, dark: bool, centre: bool) -> tuple[Brightness, Brightness]:
    """The paper and the ink of any other picture; without `centre` paper is white (or black) and all else ink."""
    if centre:
        return np.full_like(brightness, _paper(brightness)), _without_paper(brightness, dark)
    return np.full_like(brightness, 255 if dark else 0), 255 - brightness if dark else brightness


def read_brightness(picture: Picture) -> Brightness:
    """Brightness (height, width), 0 for black to 255 for white, of a picture as `prepare_image` takes it."""
    with _opened(picture) as image:
        return _brightness(image)


def read_colours(picture: Picture) -> Colours:
    """Red, green and blue (height, width, 3), 0 to 255, of a picture as `prepare_image` takes it."""
    with _opened(picture) as image:
        return _colours(image)


def small_colours(picture: Picture, side: int) -> Colours:
    """The same, each side scaled to `side` pixels, for a look at what colours there are."""
    with _opened(picture) as image:
        if image.mode == "RGB":
            # A JPEG is then decoded at a fraction of its size.
            image.draft("RGB", (side, side))
        from PIL import Image as pillow  # noqa: N813

        return np.asarray(pillow.fromarray(_colours(image)).resize((side, side)))


def upright_shape(picture: Picture) -> tuple[int, int]:
    """Height and width of a picture once it stands upright, from its header alone."""
    with _opened(picture) as image:
        lying = image.getexif().get(_ORIENTATION, 1) >= 5
        return (image.width, image.height) if lying else (image.height, image.width)


def ink_is_dark(brightness: Brightness) -> bool:
    """Whether the border, taken for paper, is nearer to the brightest than to the darkest there is."""
    darkest, brightest = float(brightness.min()), float(brightness.max())
    middle = 127.5 if brightest - darkest <= BLANK else (darkest + brightest) / 2
    return _paper(brightness) >= middle


@contextmanager
def _opened(picture: Picture) -> Iterator[Image]:
    """The picture as a Pillow image of an allowed size, not yet decoded; `DataError` if it turns out broken."""
    image = None
    try:
        image = _open(picture)
        most = MOST_BY_DECODER.get(
            "progressive" if image.info.get("progressive") else str(image.format), MOST_PIXELS
        )
        if image.width * image.height > most:
            raise DataError(f"{_name(picture)}: more than {most} pixels; scale it down first")
        yield image
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{_name(picture)}: there is no such file") from error
    except IsADirectoryError as error:
        raise DataError(
            f"{_name(picture)} is a folder; name the pictures in it, such as {_name(picture)}/*.png"
        ) from error
    except Exception as error:  # broken pictures raise whatever their bytes lead the decoders to
        formats = ", ".join(dict.fromkeys(FORMATS.values()))
        hint = "; save it as JPEG first" if _name(picture).lower().endswith(PHONES) else ""
        from PIL import UnidentifiedImageError

        # Pillow's own words for an unknown kind name the object in memory.
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise DataError(f"{_name(picture)}: cannot be read as {formats}{why}{hint}") from error
    finally:
        if image is not None and image is not picture:
            image.close()


def _open(picture: Picture) -> Image:
    from PIL import Image as pillow  # noqa: N813

    if isinstance(picture, pillow.Image):
        return picture
    if isinstance(picture, np.ndarray):
        return pillow.fromarray(_as_bytes(picture))
    with warnings.catch_warnings():
        # Pillow only warns of pictures twice as large as this module refuses.
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
        source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
        return pillow.open(source, formats=sorted(set(FORMATS.values())))


def _as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    colours = array.shape[2:] in ((), (3,), (4,))
    if array.ndim not in (2, 3) or not colours or 0 in array.shape or array.dtype.kind not in "biuf":
        raise DataError(
            "an array must be a picture (height, width) or (height, width, 3 or 4); "
            f"received {array.dtype} of the shape {array.shape}"
        )
    if not (array.min() >= 0 and array.max() <= 255):
        raise DataError("an array's brightness must lie between 0 (black) and 255 (white)")
    return np.rint(array).astype(np.uint8) if array.dtype.kind == "f" else array.astype(np.uint8)


def _brightness(image: Image) -> Brightness:
    upright = _upright(image)
    if upright.mode.startswith("I"):
        deep = np.asarray(upright, np.float32) * np.float32(255 / 65535)
        return deep.clip(0, 255)
    return np.asarray(upright.convert("L"), np.float32)


def _colours(image: Image) -> Colours:
    upright = _upright(image)
    if upright.mode == "F" or upright.mode.startswith("I"):
        return np.repeat(np.rint(_brightness(upright)).astype(np.uint8)[..., None], 3, axis=-1)
    return np.asarray(upright.convert("RGB"))


def _upright(image: Image) -> Image:
    """The picture as it is to be looked at, with white paper behind what is transparent."""
    from PIL import Image as pillow  # noqa: N813
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(_reduced(image))
    if upright.mode.startswith("I") or not upright.has_transparency_data:
        return upright
    seen = upright.convert("RGBA")
    return pillow.alpha_composite(pillow.new("RGBA", seen.size, "white"), seen)


def _reduced(image: Image) -> Image:
    """A large picture, smaller by a whole factor, strip by strip: as other numbers it takes too much memory."""
    from PIL import Image as pillow  # noqa: N813

    factor = ceil(sqrt(image.width * image.height / MOST_IN_FULL))
    if factor == 1:
        return image
    mode = _mode_of_means(image)
    page = pillow.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    step = factor * max(1, STRIP // (factor * image.width))
    for top in range(0, image.height, step):
        strip = image.crop((0, top, image.width, min(top + step, image.height)))
        page.paste(strip.convert(mode).reduce(factor), (0, top // factor))
    page.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    return page


def _mode_of_means(image: Image) -> str:
    """The mode in which pixels of this picture can be averaged."""
    if image.mode.startswith("I") or image.mode == "F":
        return image.mode[0]
    return "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"


def _paper(brightness: Brightness) -> float:
    return float(np.median(border(brightness[None])))


def _without_paper(brightness: Brightness, dark_ink: bool) -> Brightness:
    """Ink from 0, the border's shade and whatever lies on its far side, to 255, black (or white) itself."""
    light = 255 - brightness if dark_ink else brightness
    paper = _paper(light)
    if paper >= 255:
        return np.zeros_like(light)
    ink: Brightness = np.clip((light - paper) * np.float32(255 / (255 - paper)), 0, 255)
    return ink


def _centred(ink: Brightness, shape: tuple[int, int], box_share: float) -> Brightness:
    page = np.zeros(shape, np.float32)
    if ink.max() <= BLANK:
        return page
    drawing = _cropped(ink)
    scale = min(room * box_share / side for room, side in zip(shape, drawing.shape, strict=True))
    height, width = (max(1, round(side * scale)) for side in drawing.shape)
    drawing = _resized(drawing, (height, width))
    drawing *= 255 / drawing.max()
    top, left = _offset(drawing.sum(axis=1), shape[0]), _offset(drawing.sum(axis=0), shape[1])
    page[top : top + drawing.shape[0], left : left + drawing.shape[1]] = drawing
    return page


def _cropped(ink: Brightness) -> Brightness:
    visible = ink >= FAINTEST_INK * ink.max()
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _offset(masses: Brightness, room: int) -> int:
    """Where to put a row of masses so that its centre comes nearest to the middle, without leaving the room.

    Over MNIST's own images the centre of mass lies within half a pixel of the one numbered 14, counted from 0.
    """
    centre = float(np.average(np.arange(len(masses)), weights=masses))
    return min(max(round(room // 2 - centre), 0), room - len(masses))


def _fitted(ink: Brightness, shape: tuple[int, int]) -> Brightness:
    """The whole picture, padded with paper to the proportions of `shape`, then scaled to it."""
    scale = max(side / room for side, room in zip(ink.shape, shape, strict=True))
    missing = [max(0, round(room * scale) - side) for side, room in zip(ink.shape, shape, strict=True)]
    before_and_after = [(gap // 2, gap - gap // 2) for gap in missing]
    return _resized(np.pad(ink, before_and_after), shape)


def _resized(values: Brightness, shape: tuple[int, int]) -> Brightness:
    from PIL import Image

    if values.shape == shape:
        return values.copy()
    # Bilinear, because its weights are never negative: ink outside 0 to 255 cannot arise.
    scaled = Image.fromarray(values).resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.array(scaled, np.float32)


def _name(picture: Picture) -> str:
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    return str(getattr(picture, "name", "") or "the picture")
