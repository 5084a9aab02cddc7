"""How much memory a back query takes at most, known before it begins."""

from __future__ import annotations

from backquery.inversion.priors import FACTORED
from backquery.inversion.starts import drawn_at_once
from backquery.model import Model, Network

WEIGHTS = 3.0
"""How many times all weights of a network, in float64, a search holds: as they are, with the prior's deviation and
covariance multiplied in, and their sizes, where bounds are proved."""

OF_A_DRAW, OF_A_SIGNAL, OF_A_DERIVATIVE, OF_AN_IMAGE = 56, 24, 48, 128
"""Bytes for each pixel that is drawn from a prior, for each signal of a draw, for each derivative by a pixel, and
for each pixel of an image that is searched for."""


def memory_of_search(model: Model, at_once: int, constraints: int) -> float:
    """The bytes that gauss-newton takes for so many questions at a time, beside the model and what it keeps."""
    inputs, draws, kept = model.inputs, drawn_at_once(model.inputs), model.statistics
    nodes = sum(model.sizes[1:]) if isinstance(model, Network) else model.outputs
    weights = 8 * WEIGHTS * model.parameters if isinstance(model, Network) else 0
    # A prior's directions: as factor, whitened and turned, or of large images, in float32, times the precision.
    rank = 0 if kept is None else kept.rank * (24 if inputs <= FACTORED else 8)
    searched = at_once * (OF_A_DERIVATIVE * constraints + OF_AN_IMAGE) + OF_A_DRAW * draws + rank
    return weights + inputs * searched + OF_A_SIGNAL * draws * nodes


def memory_of_climb(model: Model, questions: int) -> float:
    """The bytes that ascent takes for so many questions."""
    weights = 16 * model.parameters if isinstance(model, Network) else 0
    return weights + OF_AN_IMAGE * questions * model.inputs
