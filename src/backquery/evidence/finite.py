"""What finite ink does, and not only a little: slopes on the way to paper and to full ink, some pixels at a time.

A slope at an image is what a little more ink would do. Where a network bends between none and full ink, as strided
convolutions do, that misleads. So in each image a tenth of the pixels, by chance, is moved by one share of the way
to full ink, or to paper, and the slopes are taken there. Along such a path they add up to the change itself
(integrated gradients, Sundararajan et al. 2017), and the maskings average over what surrounds a pixel (RISE,
Petsiuk et al. 2018).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backquery.evidence.interventions import ACTIONS, ADDED, has_room
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import Effects
from backquery.model import Array, Model

MOVED = 0.1
"""The share of an image's pixels that is moved at a time."""

ROUNDS = 4
"""How often it is drawn anew for each image."""

SAMPLES = 40
"""Pixels that can be moved in few images are drawn more often there, so that each is moved about so many times."""

CHUNK_NUMBERS = 2**22
"""Inputs of images that are worked on at once."""


def finite_effects(model: Model, question: Question, x: Array, rng: np.random.Generator) -> list[Effects]:
    """What adding ink to images (n, inputs) in input scale does at each pixel, and what taking it does.

    Both for a full pixel of added ink: where taking a pixel lowers the log-odds, its effect is above zero.
    """
    paper = Paper.of(model)
    return [_effects(model, question, paper, x, action, rng) for action in ACTIONS]


def _effects(
    model: Model, question: Question, paper: Paper, x: Array, action: str, rng: np.random.Generator
) -> Effects:
    size = max(1, CHUNK_NUMBERS // x.shape[1])
    parts = [x[begin : begin + size] for begin in range(0, len(x), size)]
    possible = np.sum([np.sum(has_room(_ink(paper, part)[1], action), axis=0) for part in parts], axis=0)
    share = np.clip(SAMPLES / (ROUNDS * np.maximum(possible, 1)), MOVED, 1.0)
    sums = np.zeros((4, len(possible)))
    for part in parts:
        values, times = _on_the_way(model, question, paper, part, action, share, rng)
        there = times > 0
        values = values / np.maximum(times, 1)
        sums += [there.sum(axis=0), values.sum(axis=0), np.abs(values).sum(axis=0), (values**2).sum(axis=0)]
    return Effects.from_sums(possible, sums[0].astype(np.intp), *sums[1:])


def _on_the_way(
    model: Model,
    question: Question,
    paper: Paper,
    x: Array,
    action: str,
    share: Array,
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.intp]]:
    """Each pixel's effects, summed over the rounds in which it was moved, and how many these were, (n, pixels)."""
    ink, pixels = _ink(paper, x)
    room, way = has_room(pixels, action), (1.0 if action == ADDED else 0.0) - ink
    values, times = np.zeros(pixels.shape), np.zeros(pixels.shape, np.intp)
    for _ in range(ROUNDS):
        moved = room & (rng.random(pixels.shape) < share)
        images = ink + paper.channels(moved) * rng.random((len(ink), 1)) * way
        slopes = question.gradients(model, paper.inputs(images).astype(np.float32)) * paper.span
        values += np.where(moved, paper.effects(slopes, way), 0.0)
        times += moved
    return values, times


def _ink(paper: Paper, x: Array) -> tuple[Array, Array]:
    """The ink of each input, and of whole pixels."""
    ink = np.clip(paper.ink(x), 0.0, 1.0)
    return ink, paper.pixels(ink)
