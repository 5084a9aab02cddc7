"""Networks that were never trained, with findings of made-up numbers."""

from __future__ import annotations

import numpy as np
from measurements.audited import Audited
from measurements.zoo import Recipe

from backquery.audit import Finding, Region
from backquery.audit.regions import Box, Kind
from backquery.intervals import share_interval


def finding(label: int, changed: float, margin: float, usual: float = 0.1) -> Finding:
    """A region that turns this share of 1,000 images, none elsewhere, with one reference that reads the rest."""
    return Finding(
        label=label,
        region=Region(np.array([5, 6]), np.array([1.0, 0.0])),
        box=Box(1, 1, 1, 2),
        kind=Kind(4, "ink"),
        images=1000,
        changed=share_interval(round(1000 * changed), 1000),
        elsewhere=share_interval(0, 1000),
        others=np.full(3, usual),
        references=np.array([changed - margin]),
        before=np.zeros(0),
        after=np.zeros(0),
        truth=1,
        read=0,
    )


def network(trainer: str, plant: str, changed: float, margin: float) -> Audited:
    """One finding, for the label that is planted if one is."""
    recipe = Recipe("digits", trainer, "dense", plant, 0, 32, 1)
    label = 0 if recipe.attack is None else recipe.attack.labels[0]
    return Audited(recipe, 1.0, 0.9, (finding(label, changed, margin),), (True,) * 10, 1.0, False, {})
