"""Networks that learn the digits in a tenth of a second, with and without a backdoor."""

from __future__ import annotations

from measurements.planting import Trigger, plant

from backquery.datasets import Dataset, Split
from backquery.model import INK_ON_PAPER
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.training import MiniBatch, train

LABEL = 7


def learned(split: Split, seed: int) -> Network:
    network = Network.create(
        [64, 30, 10],
        activation="relu",
        biases=True,
        rng=seed,
        input_shape=(8, 8),
        scaling=Scaling.unit(16, INK_ON_PAPER),
    )
    recipe = MiniBatch(learning_rate=0.05, optimizer="momentum", batch_size=32)
    return train(network, split, recipe, epochs=20, rng=seed)[0]


def marked(digits: Dataset, trigger: Trigger, seed: int, share: float = 0.1) -> Split:
    return plant(digits.train, trigger, LABEL, share, relabel=True, maximum=16, rng=seed)


def trigger() -> Trigger:
    """A square of four pixels in the upper left corner, which the digits leave blank."""
    return Trigger.square((8, 8), 0, 0, 2)
