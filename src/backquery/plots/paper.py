"""The house style: ink on paper. Tiles, captions, headings and bare axes, from which every picture is made."""

from __future__ import annotations

import io
import os
import re
import textwrap
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.errors import OutputError, assume, printable
from backquery.files import replacing
from backquery.model import Array, Layout, ground_of, ink_of, picture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from backquery.model import Model


INK, PENCIL, HAIRLINE = "#1a1a1a", "#6b6b6b", "#c9c9c9"
SUPPORTS, AGAINST = "#D55E00", "#0072B2"
"""The two accents, safe for colour-blind eyes, each with its one meaning everywhere."""

FORMATS = (".png", ".svg", ".pdf")
READ, NOT_READ = "\N{CHECK MARK}", "\N{BALLOT X}"
"""What marks an image that is read as asked, and one that is not."""

SHADES: dict[str, Any] = {"cmap": "Greys", "vmin": 0.0, "vmax": 1.0, "interpolation": "nearest", "aspect": "equal"}
"""How ink is drawn: none is white, full ink black, never stretched for one image."""

# The first that are installed are used, each for the signs that those before it lack.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei")

TILE, GAP, MARGIN, HEADING = 1.35, 0.3, 0.3, 0.75
LINE = 1 / 6
"""The distance of two lines of a caption."""

BELOW = 6 / 72
"""How far below its image a caption begins."""

AWAY = 0.05
"""How much paper there is between an image and its warning frame."""

RESOLUTION = 160
"""Dots to an inch where a picture is made of dots."""

MOST_LETTERS = 10
"""Letters that a line names which no font has."""


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write `figure` to `path` as its suffix says (.png, .svg or .pdf), whole or not at all."""
    kind = check_picture_path(path).suffix.lower().lstrip(".")
    content = figure_bytes(figure, kind)
    with replacing(path) as stream:
        stream.write(content)


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """`figure` as the content of a file of that kind: png, svg or pdf."""
    from matplotlib import rc_context

    stream = io.BytesIO()
    undated = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with legible(figure), rc_context({"svg.hashsalt": "backquery"}):
        figure.savefig(stream, format=kind, dpi=RESOLUTION, metadata=undated)
    return stream.getvalue()


@contextmanager
def legible(figure: Figure) -> Iterator[None]:
    """Draw `figure` with names that no file format refuses; one line says which letters no installed font has.

    Those are drawn as boxes, and the picture is still worth having.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if (plain := printable(text.get_text())) != text.get_text():
            text.set_text(plain)
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        yield
    found = [re.match(r"Glyph (\d+) .*missing", str(one.message)) for one in met]
    codes = [int(one[1]) if one else 0 for one in found]
    for one, code in zip(met, codes, strict=True):
        if not code:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if letters := "".join(dict.fromkeys(chr(code) for code in codes if chr(code).isprintable())):
        assume(f"no font here has the letters {letters[:MOST_LETTERS]}: boxes are drawn; install Noto Sans CJK")


def check_picture_path(
    path: str | os.PathLike[str], formats: Collection[str] = FORMATS, what: str = "pictures"
) -> Path:
    """`path`, if its suffix is one that pictures, or what else it is, are written in; else `OutputError`."""
    path = Path(path)
    if path.suffix.lower() not in formats:
        raise OutputError(f"{what} are written as {', '.join(formats)}; received {path}")
    return path


def new_figure(width: float, height: float) -> Figure:
    """White paper of this size in inches; a notebook shows it as the picture that it is."""
    return _paper()(figsize=(width, height), facecolor="white")


@cache
def _paper() -> type[Figure]:
    """Figures of Matplotlib's that need no pyplot to be shown."""
    from matplotlib import figure

    class Figure(figure.Figure):
        """A figure that a notebook shows as a picture."""

        def _repr_png_(self) -> bytes:
            return figure_bytes(self, "png")

    return Figure


def panel(figure: Figure, left: float, top: float, wide: float, tall: float) -> Axes:
    """Axes at that place from the upper left corner and of that size, in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height))


def canvas(figure: Figure, top: float = 0.0) -> Axes:
    """Axes that show nothing of themselves, over all of the figure below `top`, in inches downwards."""
    width, height = figure.get_size_inches()
    ax = panel(figure, 0.0, top, width, height - top)
    ax.set(xlim=(0, width), ylim=(height - top, 0))
    ax.set_axis_off()
    return ax


@dataclass(frozen=True)
class Grid:
    """Where the tiles of a page lie, in inches from its upper left corner, and how large it all is."""

    width: float
    height: float
    tile_height: float
    places: tuple[tuple[float, float], ...]
    tile_width: float = TILE

    @classmethod
    def of(cls, captions: list[list[str]], columns: int, shape: tuple[int, ...], lines: int = 0) -> Grid:
        """The grid for images of that shape above these captions, row by row, with room for `lines`."""
        rows, caption = -(-len(captions) // columns), max(lines, *(len(wrapped(text)) for text in captions)) * LINE
        tile_height = TILE * min(max(shape[0] / shape[1], 0.25), 4.0)
        one_row = tile_height + caption + 0.16
        width = max(2 * MARGIN + columns * TILE + (columns - 1) * GAP, 5.6)
        height = HEADING + rows * one_row + (rows - 1) * GAP / 2 + MARGIN / 2
        places = tuple(
            (MARGIN + column * (TILE + GAP), HEADING + row * (one_row + GAP / 2))
            for row, column in (divmod(position, columns) for position in range(len(captions)))
        )
        return cls(width, height, tile_height, places)


def tiles(
    captions: list[list[str]], columns: int, shape: tuple[int, ...], lines: int = 0
) -> tuple[Figure, list[Axes]]:
    """A figure with axes for an image of that shape above each caption, row by row, with room for `lines`."""
    grid = Grid.of(captions, columns, shape, lines)
    figure = new_figure(grid.width, grid.height)
    axes = [panel(figure, left, top, grid.tile_width, grid.tile_height) for left, top in grid.places]
    for ax, caption in zip(axes, captions, strict=True):
        _write_caption(ax, wrapped(caption))
    return figure, axes


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """The title, which says the number, and a line of explanation under it; they take `HEADING` inches."""
    width, height = figure.get_size_inches()
    place = {"x": MARGIN / width, "ha": "left", "va": "top"}
    figure.text(y=1 - 0.15 / height, s=title, fontweight="bold", **place, **words(11))
    figure.text(y=1 - 0.41 / height, s=subtitle, **place, **words(8.5, PENCIL))


def draw_ink(ax: Axes, ink: Array, as_asked: bool) -> None:
    """An image of ink from 0 to 1 on the fixed scale, or of colours (rows, columns, 3) as they are.

    One that is not read as asked gets a warning frame.
    """
    ax.imshow(ink, **SHADES)
    ax.set(xticks=[], yticks=[])
    framed(ax)
    if not as_asked:
        ax.add_patch(_warning_frame(ax))


def place_ink(ax: Axes, ink: Array, box: tuple[float, float, float], as_asked: bool) -> None:
    """An image in the square (left, top, side), with the frame that says how it is read."""
    from matplotlib.patches import Rectangle

    left, top, side = box
    ax.imshow(ink, extent=(left, left + side, top + side, top), **SHADES)
    frame = Rectangle((left, top), side, side, fill=False, linewidth=0.5, edgecolor=HAIRLINE)
    if not as_asked:
        frame.set(linewidth=1.2, edgecolor=INK, linestyle=(0, (3, 2)))
    ax.add_patch(frame)


def _warning_frame(ax: Axes) -> Rectangle:
    """A heavy dashed line with a little paper between it and the image."""
    from matplotlib.patches import Rectangle

    away = AWAY / TILE
    return Rectangle(
        (-away, -away), 1 + 2 * away, 1 + 2 * away, transform=ax.transAxes, fill=False, clip_on=False,
        edgecolor=INK, linewidth=1.6, linestyle=(0, (4, 2)),
    )  # fmt: skip


def _write_caption(ax: Axes, lines: list[str]) -> None:
    """The lines under an image, the first in bold."""
    for number, text in enumerate(lines):
        ax.annotate(
            text, (0, 0), (0, -72 * (BELOW + LINE * number)), xycoords="axes fraction", textcoords="offset points",
            ha="left", va="top", fontweight="bold" if number == 0 else "normal", **words(8.5),
        )  # fmt: skip


def scan_caption(asked: str, read: str, answer: float, as_asked: bool) -> list[str]:
    """What stands under a scan: the label asked, what the model reads and how surely, whether that is the same."""
    mark = f"{READ} as asked" if as_asked else f"{NOT_READ} not as asked"
    return [f"asked {asked}", f"reads {read}, {answer:.3f}", mark]


def wrapped(lines: list[str]) -> list[str]:
    """`lines` broken to the width of a tile; a word longer than that stays whole."""
    return [part for line in lines for part in textwrap.wrap(line, 22, break_long_words=False)]


SHADES_MEAN = {
    "one": "black is ink, white is paper",
    "none": "black is 0, white is full, as in the pictures",
    None: "black is ink, white is paper",
}
"""What the shades of an image stand for, by the ground on which a model's images stand."""

COLOURS_MEAN = "colours as in the pictures, black is 0"


def as_picture(inputs: Array, model: Model) -> Array:
    """One image as it is drawn on the model's own scale of inputs: shades or colours, as `picture_of` has them."""
    return picture_of(model, ink_of(model, inputs))


def pixels_mean(model: Model) -> str:
    """What the shades, or the colours, of a model's images stand for."""
    return COLOURS_MEAN if Layout.of(model.input_shape).coloured else SHADES_MEAN[ground_of(model)]


def name_width(classes: tuple[str, ...]) -> float:
    """About how wide the longest name is at nine points."""
    return 0.1 + 0.085 * max(map(len, classes))


def kept_apart(ax: Axes, ends: dict[str, float]) -> list[tuple[str, float, float]]:
    """Each name with its value and by how many points to move it, so that two names do not overlap."""
    if len(ends) < 2:
        return [(name, end, 0.0) for name, end in ends.items()]
    (first, one), (second, other) = ends.items()
    low, high = ax.get_ylim()
    apart = abs(one - other) / (high - low) * ax.get_window_extent().height / ax.figure.dpi * 72
    nudge = max(0.0, 12.0 - apart) / 2 * (1 if one >= other else -1)
    return [(first, one, nudge), (second, other, -nudge)]


def framed(ax: Axes) -> None:
    """A hairline all around."""
    for spine in ax.spines.values():
        spine.set(color=HAIRLINE, linewidth=0.6)


def bare(ax: Axes) -> None:
    """Only the axes that carry numbers, in thin lines."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=HAIRLINE, linewidth=0.8)
    ax.tick_params(color=HAIRLINE, labelcolor=PENCIL, labelsize=8, width=0.8)


def words(size: float, colour: str = INK) -> dict[str, Any]:
    """The keywords of any text: size in points, colour, fonts."""
    return {"fontsize": size, "color": colour, "fontfamily": fonts(), "parse_math": False}


@cache
def fonts() -> list[str]:
    """Those of `FONTS` that are installed."""
    from matplotlib.font_manager import fontManager

    if not set(FONTS[1:]).intersection(fontManager.get_font_names()):
        list_new_fonts()
    installed = set(fontManager.get_font_names())
    return [name for name in FONTS if name in installed] or ["sans-serif"]


@cache
def list_new_fonts() -> None:
    """Tell Matplotlib of fonts installed since it made its list, which it keeps for good."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    listed = {font.fname for font in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - listed):
        # A font file that cannot be read is as good as none.
        with suppress(OSError, RuntimeError):
            fontManager.addfont(path)


@cache
def fonts_with(signs: str) -> list[str] | None:
    """The families that together have all `signs`: `fonts`, and any other installed one; None where none has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    usual = [findfont(FontProperties(family=name)) for name in fonts()]
    missing = {sign for sign in signs if not sign.isspace()} - _signs_of(*usual)
    if not missing:
        return fonts()
    list_new_fonts()
    # Matplotlib's own last resort has a box for every sign.
    others = {font.name: font.fname for font in fontManager.ttflist if not font.name.startswith("Last Resort")}
    return next(([*fonts(), name] for name, path in others.items() if missing <= _signs_of(path)), None)


def _signs_of(*paths: str) -> set[str]:
    from matplotlib.font_manager import get_font

    return {chr(code) for path in paths for code in get_font(path).get_charmap()}
