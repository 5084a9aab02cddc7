"""A photograph of handwriting becomes ink on even paper, whatever light fell on it.

The steps, in order:

1. The photograph is scaled down to at most `WORKING_SIDE` pixels and smoothed a little: the camera's noise goes.
2. The paper's light at each place: a morphological closing, which fills whatever is dark and narrower than a
   quarter of the picture, and so takes strokes away and leaves shadows with their edges. Beyond its borders
   the picture goes on as it ended.
3. Contrast: the share of that light which is missing; the median is paper. Ink has the same contrast in
   shadow and in full light.
4. Otsu's threshold of the contrast (N. Otsu, 1979, by scikit-image), but never below the noise of the paper.
5. The heaviest stroke stays, with those near it; what is far from it, on the border or a speck goes.
6. Soft edges: contrast from half the threshold, which is paper, to the strokes' own, which is full ink. A line
   too thin for a small image is widened to `THINNEST` of the character.

Light ink on a dark board is the same in the negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.frames import border
from backquery.model import Array

Brightness = NDArray[np.float32]

WORKING_SIDE = 800
"""The longest side, in pixels, that a photograph is worked on in."""

SMALLEST_SIDE = 64
"""Smaller pictures are no photographs of paper."""

WINDOW = 0.25
"""Of the shorter side: what is dark and narrower is a stroke, what is wider is a shadow."""

UNEVEN = 0.06
"""Light that varies by no more, from its darkest to its lightest fiftieth, is even."""

DRAWN, DRAWN_BORDER = 0.85, 0.65
"""Where the two commonest shades cover this share of a picture, or the commonest one this share of its border, a
program drew it: no camera gives one shade so often in uneven light."""

FAINTEST_CONTRAST = 0.08
"""Nothing fainter is ink, however even the paper."""

NOISES = 5.0
"""How many standard deviations of the paper's own contrast ink must stand above it."""

MOST_INK, ROUGHEST_PAPER = 0.3, 0.08
"""A photograph with more of it under strokes, or with paper whose contrast spreads wider, shows no handwriting."""

NEAR = 0.5
"""Strokes no farther from a character than this share of its longer side belong to it."""

SPECK = 0.01
"""What has less than this share of the heaviest stroke's ink is a speck."""

THINNEST = 0.085
"""Of the character's longer side: thinner lines are widened to it."""


@dataclass(frozen=True, eq=False)
class Page:
    """What was found in a photograph, all of one shape (height, width), at most `WORKING_SIDE` pixels long."""

    light: Brightness
    """What the paper shows at each place where nothing is written: 0 to 255."""
    ink: Brightness
    """0 for paper to 255 for full ink."""
    dark_ink: bool
    """Whether the ink is darker than the paper."""
    written: bool
    """Whether it looks like handwriting on paper: strokes on little of it, and smooth paper between them."""

    @property
    def in_uneven_light(self) -> bool:
        """Whether it is handwriting on paper whose shade changes over the picture."""
        low, high = np.percentile(self.light, (2, 98))
        return self.written and bool(high - low > UNEVEN * high)


def may_be_photograph(brightness: Brightness) -> bool:
    """Whether a camera, not a program, can have made a picture (height, width) of brightness 0 to 255."""
    return min(brightness.shape) >= SMALLEST_SIDE and not _is_drawn(brightness)


def _is_drawn(brightness: Brightness) -> bool:
    return _commonest(brightness, 2) >= DRAWN or _commonest(border(brightness[None]), 1) >= DRAWN_BORDER


def _commonest(brightness: Brightness, number: int) -> float:
    """The share of the pixels that have one of so many commonest shades."""
    counts = np.bincount(np.rint(brightness).astype(np.int64).ravel())
    return float(np.sort(counts)[-number:].sum() / brightness.size)


def ink_is_darker(brightness: Brightness) -> bool:
    """Whether more of the picture is darker than its surroundings than is lighter."""
    from scipy.ndimage import median_filter

    small = within(brightness, 64) + 1
    departure = np.log(small / median_filter(small, max(3, round(0.35 * min(small.shape))), mode="nearest"))
    darker, lighter = (np.clip(sign * departure - FAINTEST_CONTRAST, 0, None).sum() for sign in (-1, 1))
    return bool(darker >= lighter)


def read_page(brightness: Brightness, dark_ink: bool) -> Page:
    """The paper's light and the ink of a photograph (height, width), 0 for black to 255 for white."""
    seen = _smoothed(within(brightness if dark_ink else 255 - brightness, WORKING_SIDE))
    light = paper_light(seen)
    missing = light - seen
    missing -= np.median(missing)
    noise = 1.4826 * np.median(np.abs(missing)) / np.maximum(light, 1)
    contrast = missing / np.maximum(light, 1)
    threshold = ink_threshold(contrast, noise)
    strokes = character(contrast > threshold, contrast)
    ink = soft_ink(contrast, strokes, threshold)
    written = 0 < float((ink > 0).mean()) <= MOST_INK and float(np.median(noise)) <= ROUGHEST_PAPER
    return Page(light if dark_ink else 255 - light, ink, dark_ink, written)


def paper_light(seen: Brightness) -> Brightness:
    """What (height, width) would show without its strokes."""
    from scipy.ndimage import gaussian_filter, grey_closing

    window = max(3, round(WINDOW * min(seen.shape)) | 1)
    inside = (slice(window, -window), slice(window, -window))
    # Mirrored about its end as well as its edge, a slope goes on beyond the border; a mere copy would end it.
    # What is mirrored is smooth, since the noise of the very edge would be doubled all the way.
    wider = np.pad(gaussian_filter(seen, window / 60), window, mode="reflect", reflect_type="odd")
    wider[inside] = seen
    closed: Brightness = grey_closing(wider, size=(window, window))[inside]
    return closed


def ink_threshold(contrast: Array, noise: Array) -> Array:
    """The contrast from which on there is ink at each place, where the paper's own has the deviation `noise`."""
    from skimage.filters import threshold_otsu

    between = float(threshold_otsu(np.clip(contrast, 0, 1))) if contrast.max() > 0 else 0.0
    threshold: Array = np.maximum(NOISES * noise, max(between, FAINTEST_CONTRAST))
    return threshold


def character(strokes: NDArray[np.bool_], contrast: Array) -> NDArray[np.bool_]:
    """Of the strokes those of the heaviest and whatever lies near, but no specks."""
    from scipy.ndimage import find_objects, label
    from scipy.ndimage import sum as sum_of

    pieces, count = label(strokes, np.ones((3, 3)))
    if not count:
        return strokes
    weights = sum_of(contrast, pieces, np.arange(1, count + 1))
    boxes = np.array([[(side.start, side.stop) for side in box] for box in find_objects(pieces)])
    inside = ((boxes[:, :, 0] > 0) & (boxes[:, :, 1] < strokes.shape)).all(axis=1)
    # Whatever runs over the border is a table or a thumb, unless there is nothing else.
    weights = np.where(inside, weights, 0.0) if inside.any() else weights
    return np.isin(pieces, 1 + _together(boxes, weights))


def _together(boxes: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """The numbers of the heaviest box and of those that are near it, or near one that is."""
    left = set(np.flatnonzero(weights > SPECK * weights.max()).tolist())
    chosen = [int(weights.argmax())]
    left -= set(chosen)
    while True:
        low, high = boxes[chosen, :, 0].min(axis=0), boxes[chosen, :, 1].max(axis=0)
        reach = NEAR * (high - low).max()
        near = [
            number
            for number in left
            if max((boxes[number, :, 0] - high).max(), (low - boxes[number, :, 1]).max()) <= reach
        ]
        if not near:
            return np.array(chosen)
        chosen += near
        left -= set(near)


def soft_ink(contrast: Array, strokes: NDArray[np.bool_], threshold: Array) -> Brightness:
    """Ink 0 to 255 on the strokes and their edges, of one darkness, in lines that a small image can show."""
    from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects, grey_dilation

    if not strokes.any():
        return np.zeros(contrast.shape, np.float32)
    paper, full = threshold / 2, np.maximum(np.percentile(contrast[strokes], 60), threshold)
    ink = np.clip((contrast - paper) / (full - paper), 0, 1) * binary_dilation(strokes, iterations=2)
    # Over a line as wide as w, the mean distance to its edge is w / 4.
    box = np.pad(strokes[find_objects(strokes.astype(np.uint8))[0]], 1)
    width = 4 * float(distance_transform_edt(box)[box].mean())
    short = (THINNEST * (max(box.shape) - 2) - width) / 2
    if short >= 1:
        ink = grey_dilation(ink, footprint=_disc(round(short)))
    widened: Array = (255 * ink).astype(np.float32)
    return widened


def _disc(radius: int) -> NDArray[np.bool_]:
    away = np.arange(-radius, radius + 1)
    return np.hypot(away[:, None], away) <= radius + 0.5


def _smoothed(seen: Brightness) -> Brightness:
    from scipy.ndimage import gaussian_filter

    smooth: Brightness = gaussian_filter(seen, max(0.7, max(seen.shape) / 650))
    return smooth


def within(values: Brightness, side: int) -> Brightness:
    """The picture, scaled down until its longer side has at most `side` pixels."""
    from PIL import Image

    scale = side / max(values.shape)
    if scale >= 1:
        return values
    shape = [max(1, round(length * scale)) for length in values.shape]
    return np.array(Image.fromarray(values).resize(shape[::-1], Image.Resampling.BILINEAR), np.float32)
