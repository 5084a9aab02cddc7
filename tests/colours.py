"""Small images in colour, and networks that see them, whose channels stand last or first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backquery import Network, Scaling, fit_statistics
from backquery.datasets import Dataset, Split
from backquery.model import IN_COLOUR

ROWS, COLUMNS = 8, 6
SHAPES = [(ROWS, COLUMNS, 3), (3, ROWS, COLUMNS)]


def coloured_data() -> Dataset:
    """Dim noise, in which the label's own colour, red, green or blue, is bright in the upper half."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = rng.integers(0, 120, (240, ROWS, COLUMNS, 3))
    images[np.arange(240), : ROWS // 2, :, labels] += 120
    halves = (Split(images[part].astype(np.uint8), labels[part]) for part in (slice(180), slice(180, None)))
    return Dataset("colours", *halves, ("red", "green", "blue"), 255.0, IN_COLOUR)


def coloured_network(shape: tuple[int, ...], data: Dataset) -> Network:
    """A network with statistics, which has learned nothing."""
    sizes = [ROWS * COLUMNS * 3, 20, 3]
    scaling = Scaling.by_channel([0.4, 0.5, 0.3], [0.2, 0.25, 0.3], shape)
    network = Network.create(sizes, rng=1, input_shape=shape, classes=data.classes, scaling=scaling)
    return replace(network, statistics=fit_statistics(network, data.train))
