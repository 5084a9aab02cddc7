"""How a network learns: one image at a time, in mini-batches, or from the whole training set at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from backquery.errors import TrainingError
from backquery.model import SIGMOID, SOFTMAX, TANH, Network
from backquery.model.declared import declared_value

Loss = Literal["book", "squared", "cross-entropy"]
LOSSES: tuple[Loss, ...] = ("book", "squared", "cross-entropy")
"""What is made smaller, by name: see `Recipe`."""


@dataclass(frozen=True)
class Usual:
    """What goes with a recipe where nothing else is asked for.

    `activation` is that of the hidden layers; `standardised` pixels have mean 0 and deviation 1 instead of the
    book's scale; after so many `steps` a few hundred examples are learned.
    """

    activation: str = "relu"
    biases: bool = True
    standardised: bool = False
    epochs: int = 5
    steps: int = 2_000


@dataclass(frozen=True)
class Recipe:
    """What all recipes have, and what each answers for itself.

    `loss` is ``"book"``, which sends the output errors back through the weights without the slope of the output
    activation (*Make Your Own Neural Network*, part 1; it is not a gradient), or a true gradient:
    ``"squared"``, half the squared error, or ``"cross-entropy"``. `learning_rate` is what a step multiplies the
    slope by. Settings that make no sense raise `TrainingError`.
    """

    learning_rate: float
    loss: Loss

    # Without annotations, because each is a field of only those recipes that let it be chosen.
    decay, shuffle, optimizer, momentum = "none", False, "descent", 0.0
    batch_size = 0  # the whole training set
    kind: ClassVar[str]
    one_by_one: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise TrainingError(f"the learning rate must be a number above zero; received {self.learning_rate!r}")
        if self.loss not in LOSSES:
            raise TrainingError(f"unknown loss {self.loss!r}; choose one of {', '.join(LOSSES)}")
        if self.decay not in ("none", "linear"):
            raise TrainingError(f"unknown decay {self.decay!r}; choose none or linear")

    @property
    def usual(self) -> Usual:
        """What goes with it where nothing else is asked for."""
        return Usual()

    @property
    def is_steady(self) -> bool:
        """Whether the learning rate stays as it is, so that long trainings begin as short ones do."""
        return self.decay == "none"

    def rate(self, share: float) -> float:
        """The learning rate after this share of the training."""
        return self.learning_rate * (1 if self.is_steady else 1 - share)

    def images_an_update(self, images: int) -> int:
        """How many of `images` in all are learned from at once."""
        return self.batch_size or images

    def moment(self, epoch: int, image: int) -> str:
        """Where in a training this image of this epoch is met, both counted from 1, in words."""
        return f"image {image} of epoch {epoch}" if self.batch_size else f"iteration {epoch}"


@declared_value(TrainingError)
@dataclass(frozen=True)
class Online(Recipe):
    """One image at a time: a step after each, in file order or shuffled anew each epoch (Rashid 2016, part 2).

    `learning_rate` is what each step multiplies the slope by; with ``decay="linear"`` it falls evenly from image
    to image, to zero after the last epoch.
    """

    learning_rate: float = 0.1
    loss: Loss = "book"
    shuffle: bool = False
    decay: Literal["none", "linear"] = "none"
    batch_size = 1
    kind: ClassVar[str] = "online"
    one_by_one: ClassVar[bool] = True

    @property
    def usual(self) -> Usual:
        """In file order all is as in the book."""
        return Usual("relu" if self.shuffle else "sigmoid", biases=self.shuffle, steps=20_000)


@declared_value(TrainingError)
@dataclass(frozen=True)
class MiniBatch(Recipe):
    """Shuffled batches, with momentum (Polyak 1964) or Adam (Kingma & Ba 2015).

    learning_rate: what a step multiplies the mean slope by, or Adam's step size. `TrainingError` for settings that
    make no sense, such as a momentum that is not between 0 and 1.
    """

    learning_rate: float = 0.001
    loss: Loss = "cross-entropy"
    batch_size: int = 128
    optimizer: Literal["adam", "momentum"] = "adam"
    momentum: float = 0.9
    decay: Literal["none", "linear"] = "none"
    shuffle = True
    kind: ClassVar[str] = "minibatch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 1:
            raise TrainingError(f"the batch size must be at least 1; received {self.batch_size}")
        if self.optimizer not in ("adam", "momentum"):
            raise TrainingError(f"unknown optimizer {self.optimizer!r}; choose adam or momentum")
        if not 0 <= self.momentum < 1:
            raise TrainingError(f"momentum must lie between 0 and 1; received {self.momentum}")


@declared_value(TrainingError)
@dataclass(frozen=True)
class FullBatch(Recipe):
    """Gradient descent (Cauchy 1847) on the mean over the whole training set; an epoch is one iteration.

    learning_rate: what an iteration multiplies the mean slope by.
    """

    learning_rate: float = 0.25
    loss: Loss = "squared"
    kind: ClassVar[str] = "batch"

    @property
    def usual(self) -> Usual:
        """As in the published training on scikit-learn's digits."""
        return Usual("sigmoid", standardised=True, epochs=3_000, steps=1_000)


RECIPES: dict[str, Recipe] = {
    "book": Online(),
    "online": Online(learning_rate=0.02, loss="cross-entropy", shuffle=True, decay="linear"),
    "minibatch": MiniBatch(),
    "batch": FullBatch(),
}
"""Every recipe by its name: the command line, the studio and tests read this."""


def target_values(network: Network, loss: Loss) -> tuple[float, float]:
    """The answers to learn for the other labels and for the right one.

    The book's rule keeps them inside the sigmoid's open range; a tanh output runs from -0.99 to 0.99.
    """
    output = network.output_activation
    if loss == "cross-entropy" and output not in (SIGMOID, SOFTMAX):
        raise TrainingError(
            f"cross-entropy needs sigmoid or softmax outputs, not {output.name}; use the loss 'squared'"
        )
    if output is TANH:
        return -0.99, 0.99
    return (0.01, 0.99) if loss == "book" else (0.0, 1.0)
