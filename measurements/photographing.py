"""Photographs of handwriting, made from images of ink: a pen on paper, light that is not even, a camera.

What the sensor sees is the paper's reflectance, where there is ink only a share of it, times the light that falls
there. Then comes the camera: blur, noise that grows with the light, JPEG.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from backquery.model import Array

Field = Callable[[NDArray[np.float64], NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
"""The share of the full light at each place, from its row and column, both 0 to 1."""


def even(row: Array, column: Array, rng: np.random.Generator) -> Array:
    return np.ones_like(row)


def linear(row: Array, column: Array, rng: np.random.Generator) -> Array:
    """Full light on one side, a fifth to a third of it on the other."""
    way = _way_across(row, column, rng)
    return 1 - rng.uniform(0.67, 0.8) * way


def radial(row: Array, column: Array, rng: np.random.Generator) -> Array:
    """A round shadow, as of a hand or a head, somewhere on the paper."""
    centre, width = rng.uniform(0.1, 0.9, 2), rng.uniform(0.25, 0.45)
    away = np.hypot(row - centre[0], column - centre[1]) / width
    return 1 - rng.uniform(0.6, 0.75) * np.exp(-(away**2) / 2)


def vignette(row: Array, column: Array, rng: np.random.Generator) -> Array:
    """The corners get less light than the middle."""
    return 1 - rng.uniform(0.5, 0.7) * ((row - 0.5) ** 2 + (column - 0.5) ** 2) * 2


def edge(row: Array, column: Array, rng: np.random.Generator) -> Array:
    """The thin edge of a shadow straight across: no gradient, a step."""
    way = _way_across(row, column, rng) - rng.uniform(0.3, 0.7)
    return 1 - rng.uniform(0.45, 0.65) / (1 + np.exp(-way / rng.uniform(0.002, 0.02)))


def _way_across(row: Array, column: Array, rng: np.random.Generator) -> Array:
    """0 at the place that is nearest in some direction, 1 at the farthest."""
    angle = rng.uniform(0, 2 * np.pi)
    way = row * np.sin(angle) + column * np.cos(angle)
    return (way - way.min()) / (way.max() - way.min())


@dataclass(frozen=True)
class Camera:
    """One kind of photograph; ranges are drawn from anew for each."""

    light: Field = linear
    paper: tuple[float, float] = (140, 235)
    """The shade of the paper in full light, of 255."""
    ink: tuple[float, float] = (0.15, 0.45)
    """How much of the paper's shade is left under ink."""
    side: tuple[int, int] = (400, 1200)
    fills: tuple[float, float] = (0.35, 0.75)
    """The character's box as a share of the picture's shorter side."""
    blur: tuple[float, float] = (0.5, 1.5)
    """Standard deviations, in pixels."""
    noise: tuple[float, float] = (1.0, 3.0)
    """The standard deviation in full light, of 255."""
    quality: tuple[int, int] = (75, 92)
    turned: float = 0.0
    """Degrees, either way."""
    rules: tuple[str, ...] = ()
    """Lines printed on the paper: rows, columns."""
    pen: float | None = None
    """The width of the line as a share of the character's box; None leaves it as it was drawn."""
    table: bool = False
    """Whether the paper ends within the picture, on a dark table."""
    chalk: bool = False
    """Bright lines on a dark board."""


KINDS: dict[str, Camera] = {
    "even light": Camera(even),
    "linear shadow": Camera(),
    "round shadow": Camera(radial),
    "vignetting": Camera(vignette),
    "edge of a shadow": Camera(edge),
    "shadow and noise": Camera(noise=(6, 12)),
    "shadow and blur": Camera(blur=(3, 5)),
    "shadow and JPEG of quality 15 to 30": Camera(quality=(15, 30)),
    "shadow, turned by up to 8 degrees": Camera(turned=8),
    "shadow, faint pencil": Camera(ink=(0.6, 0.75)),
    "shadow, thin pen": Camera(pen=0.035),
    "shadow, ruled paper": Camera(rules=("rows",)),
    "shadow, squared paper": Camera(rules=("rows", "columns")),
    "shadow, the table's edge": Camera(table=True),
    "shadow, chalk on a board": Camera(chalk=True),
    "small in the picture": Camera(fills=(0.12, 0.25)),
    "edge, noise, blur, JPEG, turned": Camera(
        edge, noise=(4, 8), blur=(1.5, 3), quality=(30, 60), turned=8
    ),
}  # fmt: skip


PEN_RESOLUTION = 280
"""Pixels across an image of ink while its line is drawn anew."""


def photograph(ink: NDArray[np.uint8], camera: Camera, rng: np.random.Generator) -> bytes:
    """The JPEG file that a camera makes of an image of ink (height, width), 0 to 255, on a sheet of paper."""
    height, width = (int(side) for side in rng.integers(*camera.side, 2, endpoint=True))
    row, column = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    drawn = _on_the_page(_pen_line(ink, camera.pen), (height, width), camera, rng)
    seen = _reflected(drawn, camera, rng)
    if camera.table:
        seen = np.where(_on_the_table(row, column, rng), rng.uniform(0.1, 0.25), seen)
    return _developed(seen * camera.light(row, column, rng), camera, rng)


def _pen_line(ink: NDArray[np.uint8], pen: float | None) -> Array:
    """The stroke large, 0 to 1, with edges as sharp as a pen's; with `pen`, a line of that share of its height."""
    large = Image.fromarray(ink).resize((PEN_RESOLUTION, PEN_RESOLUTION), Image.Resampling.BICUBIC)
    stroke = np.asarray(large, np.float64) / 255
    if pen is not None:
        height = np.flatnonzero((stroke > 0.5).any(axis=1))
        reach = pen * (height[-1] - height[0] + 1) / 2
        stroke = 0.5 + (reach - ndimage.distance_transform_edt(~skeletonize(stroke > 0.5))) / 2
        return np.clip(stroke, 0, 1)
    return 1 / (1 + np.exp(-12 * (ndimage.gaussian_filter(stroke, 2) - 0.5)))


def _on_the_page(stroke: Array, shape: tuple[int, int], camera: Camera, rng: np.random.Generator) -> Array:
    """The stroke in its size, turned, somewhere on a page of that shape."""
    rows, columns = (np.flatnonzero((stroke > 0.5).any(axis=axis)) for axis in (1, 0))
    stroke = np.pad(stroke[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 8)
    turned = Image.fromarray(stroke.astype(np.float32)).rotate(
        rng.uniform(-camera.turned, camera.turned), Image.Resampling.BICUBIC, expand=True
    )
    scale = rng.uniform(*camera.fills) * min(shape) / max(turned.size)
    size = tuple(max(2, round(side * scale)) for side in turned.size)
    drawing = np.asarray(turned.resize(size, Image.Resampling.BICUBIC), np.float64).clip(0, 1)
    # Nobody writes on the very edge: a twelfth of the shorter side stays free.
    free = min(shape) // 12
    top, left = (rng.integers(free, room - side - free) for room, side in zip(shape, drawing.shape, strict=True))
    page = np.zeros(shape)
    page[top : top + drawing.shape[0], left : left + drawing.shape[1]] = drawing
    return page


def _reflected(drawn: Array, camera: Camera, rng: np.random.Generator) -> Array:
    """The share of light that comes back from each place of the page."""
    paper, left = rng.uniform(*camera.paper) / 255, rng.uniform(*camera.ink)
    if camera.chalk:
        return rng.uniform(0.15, 0.3) + drawn * rng.uniform(0.5, 0.65)
    covering = drawn * (1 - left)
    return paper * np.minimum(1 - covering, 1 - _rules(drawn.shape, camera.rules, rng))


def _rules(shape: tuple[int, int], rules: tuple[str, ...], rng: np.random.Generator) -> Array:
    """How much of the paper's shade the printed lines take: thin, pale, a twelfth of the shorter side apart."""
    taken = np.zeros(shape)
    apart, pale = min(shape) * rng.uniform(0.06, 0.12), rng.uniform(0.12, 0.25)
    for axis in (number for number, name in enumerate(("rows", "columns")) if name in rules):
        place = np.arange(shape[axis]) + rng.uniform(0, apart)
        line = np.clip(1.5 - np.abs((place + apart / 2) % apart - apart / 2), 0, 1) * pale
        taken = np.maximum(taken, line[:, None] if axis == 0 else line[None, :])
    return taken


def _on_the_table(row: Array, column: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """What lies beyond the edge of the paper, a little askew along one side of the picture."""
    way, along = ((row, column), (column, row), (1 - row, column), (1 - column, row))[rng.integers(4)]
    return way + rng.uniform(-0.03, 0.03) * along < rng.uniform(0.02, 0.06)


def _developed(light: Array, camera: Camera, rng: np.random.Generator) -> bytes:
    seen = 255 * ndimage.gaussian_filter(light, rng.uniform(*camera.blur))
    # Shot noise grows with the root of the light; a quarter of the noise is the sensor's own.
    spread = rng.uniform(*camera.noise) * np.sqrt(0.25 + 0.75 * np.clip(seen, 0, 255) / 255)
    seen += spread * rng.standard_normal(seen.shape)
    stream = io.BytesIO()
    picture = Image.fromarray(np.rint(seen.clip(0, 255)).astype(np.uint8))
    picture.save(stream, "JPEG", quality=int(rng.integers(*camera.quality, endpoint=True)))
    return stream.getvalue()
