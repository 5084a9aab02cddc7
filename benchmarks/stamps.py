"""Real pictures in colour: photographs of ten kinds of things, set before pieces of other photographs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import Dataset, Split
from backquery.model import IN_COLOUR

KINDS = {
    "apple": "food/fruit/apple_{fuji,granny_smith,green,red,sierra_beauty}",
    "orange": "food/fruit/{mandarine,orange}",
    "strawberry": "food/fruit/{Strawberry2,strawberry,raspberry}",
    "banana": "food/fruit/banana",
    "mushroom": "plants/mushrooms/{cep,cep-1,cep-2}",
    "flower": "plants/flowers/{daffodil,flower2,flower3,pigface,red-gazania,yellow-flower}",
    "parrot": "animals/birds/{adelaide-rosella,rainbow-lorikeet}",
    "fish": "animals/fish/{bluegroper,butterflyfish,clownfish,dolphinfish,stripedfish}",
    "car": "vehicles/auto/{beetle,sedan,sportscar2,truck}",
    "guitar": "hobbies/music/string/{guitar2,guitar_classical,guitar_electric,guitar_electric_bass}",
}
"""The stamps of each kind, written as a shell would."""

SIDE, TRAINED, TESTED = 32, 12_000, 2000

SIZES, TURNS, ROOM = (24, 32), 15.0, 2
"""Pixels of a thing's longer side, degrees that it is turned by, and pixels that it may leave the frame by."""

REACHES, BLUR = (96, 320), (1.0, 2.5)
"""Pixels of a side of a photograph's piece that becomes a ground, and how far it is out of focus, in pixels."""

MISSING = (
    "left out; apt-get install tuxpaint-stamps-default (161 MB; or unpack the package with dpkg-deb -x and set "
    "BACKQUERY_STAMPS to its folder)"
)

Picture = NDArray[np.uint8]


def stamps() -> Dataset | None:
    """Tux Paint's stamps (GPL 2): 32 x 32 pictures of ten kinds of things, or None.

    Things are photographs cut out; each is mirrored or not, turned a little, and stands in some size at some place
    before a piece, out of focus, of one of scikit-learn's two photographs.
    Test images show the same photographs in other poses.
    """
    folder = _folder()
    if folder is None:
        return None
    things = [[_thing(folder / name) for name in _names(written)] for written in KINDS.values()]
    train, test = (_made(things, count, seed) for seed, count in enumerate((TRAINED, TESTED)))
    return Dataset("stamps", train, test, tuple(KINDS), meaning=IN_COLOUR)


def _folder() -> Path | None:
    """Where the stamps lie: somewhere below BACKQUERY_STAMPS, or where the package puts them."""
    place = Path(os.environ.get("BACKQUERY_STAMPS", "/usr/share/tuxpaint/stamps"))
    return next((found.parent for found in place.rglob("food") if found.is_dir()), None)


def _names(written: str) -> list[str]:
    """The names that braces stand for."""
    before, brace, within = written.partition("{")
    return [f"{before}{part}.png" for part in within.rstrip("}").split(",")] if brace else [f"{written}.png"]


def _thing(path: Path) -> Any:
    """A photograph as large as its opaque part, at most 64 pixels."""
    from PIL import Image

    with Image.open(path) as stamp:
        thing = stamp.convert("RGBA")
    thing = thing.crop(thing.getchannel("A").point(lambda value: 255 * (value > 128)).getbbox())
    thing.thumbnail((64, 64))
    return thing


def _made(things: Sequence[Sequence[Any]], count: int, seed: int) -> Split:
    """So many images, every kind as often as the others, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(things))
    pictures = [_picture(things[label][rng.integers(len(things[label]))], rng) for label in labels]
    return Split(np.stack(pictures), labels)


def _picture(thing: Any, rng: np.random.Generator) -> Picture:
    """A thing in some pose on some ground, (32, 32, 3)."""
    from PIL import Image, ImageOps

    if rng.random() < 0.5:
        thing = ImageOps.mirror(thing)
    thing = thing.rotate(rng.uniform(-TURNS, TURNS), Image.Resampling.BICUBIC, expand=True)
    thing = thing.crop(thing.getchannel("A").getbbox())
    scale = rng.uniform(*SIZES) / max(thing.size)
    thing = thing.resize([max(1, round(scale * side)) for side in thing.size], Image.Resampling.LANCZOS)
    place = [int(rng.integers(-ROOM, SIDE + ROOM - side + 1)) for side in thing.size]
    ground = _ground(rng)
    ground.paste(thing, place, thing)
    return np.asarray(ground)


def _ground(rng: np.random.Generator) -> Any:
    """A piece of a photograph, out of focus as what lies behind a thing is."""
    from PIL import Image, ImageFilter

    photograph = _photographs()[rng.integers(2)]
    reach = int(rng.integers(*REACHES))
    left, top = (int(rng.integers(0, length - reach + 1)) for length in photograph.size)
    piece = photograph.resize((SIDE, SIDE), Image.Resampling.BOX, (left, top, left + reach, top + reach))
    return piece.filter(ImageFilter.GaussianBlur(rng.uniform(*BLUR)))


@cache
def _photographs() -> tuple[Any, ...]:
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return tuple(Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))
