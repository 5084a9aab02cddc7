"""How clear an image is: as sharp as real ones, and like one of them. No network is asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from backquery.model.aliases import Array


def roughness(ink: ArrayLike, shape: tuple[int, int]) -> Array:
    """Gradient energy over variance: how fast the ink of each image (n, inputs) changes from pixel to pixel.

    The squared differences of all neighbouring pixels are summed, and divided by the squared deviations from the
    image's mean. In the image's cosine transform this is its mean squared frequency, weighted by power: near 0
    for a wide blur, about 4 for noise, whatever the contrast. A blank image has none: NaN.
    """
    images = np.asarray(ink, np.float64).reshape(-1, *shape)
    energy = sum(np.sum(np.diff(images, axis=axis) ** 2, axis=(1, 2)) for axis in (1, 2))
    variation = np.sum((images - images.mean(axis=(1, 2), keepdims=True)) ** 2, axis=(1, 2))
    blank = np.ptp(images, axis=(1, 2)) == 0
    return np.where(blank, np.nan, energy / np.where(blank, 1.0, variation))


def sharpness(ink: ArrayLike, real: ArrayLike, shape: tuple[int, int]) -> Array:
    """The roughness of each image (n, inputs) over the median of `real` ones (m, inputs).

    1 is as sharp as a real image; less is blurred, more is grained.
    """
    return roughness(ink, shape) / float(np.median(roughness(real, shape)))


def likeness(ink: ArrayLike, real: ArrayLike) -> Array:
    """The highest correlation of each image (n, inputs) with any of the `real` ones (m, inputs).

    Brightness and contrast have no part in it. Images without any contrast are like nothing: 0.
    """
    return np.asarray((_standard(ink) @ _standard(real).T).max(axis=1))


def _standard(ink: ArrayLike) -> Array:
    """Each row with mean 0 and length 1, or zeros."""
    rows = np.asarray(ink, np.float64)
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    blank = np.ptp(rows, axis=1, keepdims=True) == 0
    return np.where(blank, 0.0, centred / np.where(blank, 1.0, lengths))
