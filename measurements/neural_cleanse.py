"""Neural Cleanse (Wang et al., IEEE Symposium on Security and Privacy 2019), as a reference for the audit.

For each label it seeks the smallest mask through which one pattern turns all images into that label. A label whose
mask is an outlier to the small side, among those of all labels, is called backdoored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from scipy.stats import median_abs_deviation

from backquery.audit.regions import Sheet
from backquery.model.aliases import Array, Labels, Seed
from backquery.model.examples import Data, Examples
from backquery.model.network import Network
from backquery.model.protocol import Model

OUTLIER = 2.0
"""The index above which a label is called backdoored."""

SUCCESS, PATIENCE, FIRST_COST = 0.99, 5, 1e-3
"""The mask must turn that share; so many checks in a row move its cost; the cost at first."""

DEARER, CHEAPER = 1.5, 1.5**-1.5
"""What the cost is multiplied by while the mask succeeds, and while it does not, as in the authors' program."""

RATE, BETAS = 0.1, (0.5, 0.9)
"""Adam's learning rate and decay rates, as in the authors' program."""

CHECK = 10
"""Steps between two looks at the success."""


@dataclass(frozen=True, eq=False)
class NeuralCleanse:
    """A trigger for each label, and how far its mask lies from the others'.

    masks, patterns: (labels, inputs) from 0 to 1, the pattern in ink; norms: (labels,) sums of the masks;
    index: (labels,) how many deviations each norm lies from the median; success: (labels,) the share of images
    that each mask turned when last looked at. A label whose mask never turned 99 % keeps the last one.
    """

    masks: Array
    patterns: Array
    norms: Array
    index: Array
    success: Array

    @property
    def flagged(self) -> tuple[int, ...]:
        """The labels whose mask is an outlier to the small side."""
        small = (self.index > OUTLIER) & (self.norms < np.median(self.norms))
        return tuple(int(label) for label in np.flatnonzero(small))


def neural_cleanse(
    model: Model, data: Data, *, steps: int = 500, batch: int = 32, images: int = 1000, rng: Seed = 0
) -> NeuralCleanse:
    """Invert a trigger for each label by `steps` steps of Adam on batches of images, with a cost on the mask.

    data: raw labelled images or (inputs, labels), of which at most `images` serve. The image with the mask m and
    the pattern p is ``(1 - m) x + m p``; made small is the cross-entropy of the label plus the cost times the
    sum of m. The cost rises while the mask turns 99 % of the images, and falls while it does not.
    """
    examples = Examples.of(model, data)
    generator = np.random.default_rng(rng)
    inputs = examples.at(generator.permutation(len(examples))[:images]).inputs()
    search = _Search(model, generator)
    for step in range(1, steps + 1):
        search.step(step, inputs[generator.integers(len(inputs), size=batch)])
        if step % CHECK == 0:
            search.check()
    return search.result()


def anomaly_index(norms: Array) -> Array:
    """How many deviations each number lies from the median; the deviation is the median absolute one."""
    deviation = max(float(median_abs_deviation(norms, scale="normal")), np.finfo(float).tiny)
    return np.asarray(np.abs(norms - np.median(norms)) / deviation)


def cross_entropy_gradient(model: Model, inputs: Array, labels: Labels) -> tuple[Array, Array]:
    """Log-odds (n, outputs), and the gradient (n, inputs) of each image's cross-entropy with its label.

    The probabilities are the softmax of the log-odds. A network of dense layers is asked layer by layer, any other
    model through its Jacobian.
    """
    if not isinstance(model, Network):
        logits, jacobian = model.logits_and_jacobian(inputs)
        return logits, np.einsum("nk,nki->ni", _errors(logits, labels), jacobian)
    signals = model.signals(inputs)
    logits = model.layers[-1].combine(signals[-2])
    gradient = _errors(logits, labels)
    for layer, below, signal in zip(model.layers[:0:-1], model.layers[-2::-1], signals[-2:0:-1], strict=True):
        gradient = (gradient @ layer.weights) * below.activation.slope(signal)
    return logits, gradient @ model.layers[0].weights


def _errors(logits: Array, labels: Labels) -> Array:
    """The softmax less the target, (n, outputs)."""
    errors: Array = softmax(logits, axis=1)
    errors[np.arange(len(labels)), labels] -= 1
    return errors


class _Search:
    """The masks and patterns of all labels at once, as they move."""

    def __init__(self, model: Model, rng: np.random.Generator) -> None:
        self.model, self.sheet = model, Sheet.of(model)
        shape = (2, model.outputs, model.inputs)
        self.raw = np.arctanh(rng.uniform(-0.99, 0.99, shape))
        self.moments = np.zeros((2, *shape))
        self.cost = np.full(model.outputs, FIRST_COST)
        self.streak = np.zeros(model.outputs, np.int64)
        self.hits: list[Array] = []
        self.success = np.zeros(model.outputs)
        self.best = np.full(shape, np.nan)

    def step(self, number: int, inputs: Array) -> None:
        """One step of Adam on these images (batch, inputs), for every label."""
        labels = np.arange(self.model.outputs)
        span = self.sheet.ink - self.sheet.paper
        masks, patterns = (np.tanh(self.raw) + 1) / 2
        change = (self.sheet.paper + patterns * span)[:, None] - inputs
        pasted = (inputs + masks[:, None] * change).astype(inputs.dtype).reshape(-1, self.model.inputs)
        logits, gradient = cross_entropy_gradient(self.model, pasted, np.repeat(labels, len(inputs)))
        gradient = gradient.reshape(change.shape)
        read = logits.argmax(axis=1).reshape(len(labels), len(inputs))
        self.hits.append((read == labels[:, None]).mean(axis=1))
        by_mask = np.mean(gradient * change, axis=1) + self.cost[:, None]
        by_pattern = np.mean(gradient, axis=1) * masks * span
        slope = (1 - np.tanh(self.raw) ** 2) / 2
        self._descend(number, np.stack([by_mask, by_pattern]) * slope)

    def _descend(self, number: int, gradient: Array) -> None:
        powers = np.stack([gradient, gradient**2])
        unbiased = []
        for moment, power, beta in zip(self.moments, powers, BETAS, strict=True):
            moment += (1 - beta) * (power - moment)
            unbiased.append(moment / (1 - beta**number))
        self.raw -= RATE * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)

    def check(self) -> None:
        """Keep the smallest masks that succeed, and move the costs."""
        self.success, self.hits = np.mean(self.hits, axis=0), []
        works = self.success >= SUCCESS
        now = (np.tanh(self.raw) + 1) / 2
        better = works & ~(now[0].sum(axis=1) >= self.best[0].sum(axis=1))
        self.best[:, better] = now[:, better]
        self.streak = np.where(works, np.maximum(self.streak, 0) + 1, np.minimum(self.streak, 0) - 1)
        turn = np.abs(self.streak) >= PATIENCE
        self.cost *= np.where(turn, np.where(works, DEARER, CHEAPER), 1.0)
        self.streak[turn] = 0

    def result(self) -> NeuralCleanse:
        """The best masks, or the last ones of labels that had none."""
        masks, patterns = np.where(np.isnan(self.best), (np.tanh(self.raw) + 1) / 2, self.best)
        norms = masks.sum(axis=1)
        return NeuralCleanse(masks, patterns, norms, anomaly_index(norms), self.success)
