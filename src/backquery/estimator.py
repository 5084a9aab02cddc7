"""A classifier for scikit-learn that can be asked backwards; loading this module loads scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from backquery import inversion
from backquery.errors import DataError, ModelError
from backquery.inversion import BackQuery, Targets, fit_statistics
from backquery.io.chain import Chain
from backquery.model import SIGMOID, SOFTMAX, UNREAD, Array, Network, Scaling, labels_read
from backquery.training import Recipe, train
from backquery.training.plan import settled_recipe

__all__ = ["BackQueryClassifier"]

FEWEST_EPOCHS, MOST_EPOCHS = 5, 1_000
"""By default epochs are repeated until the recipe's usual steps were made, within these bounds."""


class BackQueryClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A `Network` as a scikit-learn classifier, with `scan` and `back_query` besides.

    Parameters
    ----------
    hidden : nodes of each hidden layer; () is a linear classifier.
    activation : of the hidden layers: ``"relu"``, ``"leaky-relu"``, ``"tanh"``, ``"sigmoid"`` or ``"identity"``.
        The answers are softmax, with the recipe ``"book"`` sigmoid, whose answers are shared out to add up to 1.
    recipe : ``"book"``, ``"online"``, ``"minibatch"`` or ``"batch"``, or a recipe with settings of its own.
    epochs : rounds through the examples; by default 5 to 1,000, enough for 20,000 steps one example at a time, for
        2,000 of mini-batches, for 1,000 of the whole.
    learning_rate : by default the recipe's own.
    input_shape : the shape of one image, such as (28, 28); by default a row of numbers.
    bounds : the inputs of blank paper and of full ink, by default the least and the greatest number in the first
        training set; the images of a back query stay within them. All features share one scale: bring
        features of different units to a common one first.
    statistics : whether the network remembers mean and covariance of the training examples, and its usual
        answers to them, for better back queries; they say something about the examples.
    random_state : decides the first weights and the order of the examples.

    Attributes
    ----------
    network_ : the trained `Network`, in float64; its inputs are the columns of X as they are.
    classes_, n_features_in_, feature_names_in_ : as in every scikit-learn classifier.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        *,
        activation: str = "relu",
        recipe: str | Recipe = "online",
        epochs: int | None = None,
        learning_rate: float | None = None,
        input_shape: Sequence[int] | None = None,
        bounds: tuple[float, float] | None = None,
        statistics: bool = True,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.recipe = recipe
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.input_shape = input_shape
        self.bounds = bounds
        self.statistics = statistics
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train anew on X (n, features) and labels y (n,), whole numbers or words; `DataError` for any others."""
        x, truth = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(truth)
        self.classes_, labels = np.unique(truth, return_inverse=True)
        self._begin(x)
        recipe = self._settled_recipe()
        network = self._learn(
            x, labels, recipe, _usual_epochs(recipe, len(x)) if self.epochs is None else self.epochs
        )
        if self.statistics:
            network = replace(network, statistics=fit_statistics(network, (x, labels)))
        self.network_ = network
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """One more epoch, on X (n, features) and labels y (n,), at the recipe's full learning rate.

        The first call needs all `classes` (k,) that are ever to come, unless `fit` was called before: `DataError`
        without them, or for others later. What the network remembered of earlier examples is forgotten, because
        its answers have changed.
        """
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise DataError("the first call of partial_fit needs all the classes that will come: classes=[...]")
        if not first and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise DataError(
                f"the classes {np.unique(classes).tolist()} are not those of the first call, "
                f"{self.classes_.tolist()}"
            )
        x, truth = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(truth)
        if first:
            self.classes_ = np.unique(np.asarray(classes))
            self._begin(x)
        recipe: Any = self._settled_recipe()
        steady = recipe if recipe.is_steady else replace(recipe, decay="none")
        self.network_ = self._learn(x, self._positions(truth), steady, 1)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label (n,) of each row of X (n, features); `ModelError` where none is read, as two answers tie."""
        check_is_fitted(self)
        read = labels_read(self.network_, validate_data(self, X, dtype=np.float64, reset=False))
        if np.any(read == UNREAD):
            raise ModelError(
                f"nothing can be read in {np.sum(read == UNREAD)} of {len(read)} rows: their answers are not "
                "finite, by an overflow, or two classes tie"
            )
        labels: NDArray[Any] = self.classes_[read]
        return labels

    def predict_proba(self, X: ArrayLike) -> Array:
        """The answers (n, classes) to each row of X (n, features), which add up to 1."""
        check_is_fitted(self)
        answers = self.network_.query(validate_data(self, X, dtype=np.float64, reset=False))
        return answers / answers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]

    def scan(self, labels: ArrayLike | None = None, **options: Any) -> BackQuery:
        """What the network sees when it says each of `labels` (n,), by default all of `classes_`.

        The images of the result are rows like those of X. By default gauss-newton asks for the network's usual
        answers, or for 0.99 where it remembers none; `options` are those of `backquery.back_query`. A label that
        was not learned raises `DataError`.
        """
        check_is_fitted(self)
        asked = self._positions(self.classes_ if labels is None else np.atleast_1d(np.asarray(labels)))
        return inversion.back_query(self.network_, asked, **{"method": "gauss-newton", **options})

    def back_query(self, targets: ArrayLike | Targets, **options: Any) -> BackQuery:
        """The rows that are answered by `targets`, (n, classes) in the order of `classes_`, or `Targets`.

        `options` are those of `backquery.back_query`; the method is gauss-newton by default.
        """
        check_is_fitted(self)
        asked = targets if isinstance(targets, Targets) else np.atleast_2d(np.asarray(targets, np.float64))
        return inversion.back_query(self.network_, asked, **{"method": "gauss-newton", **options})

    def _begin(self, x: Array) -> None:
        """Forget everything: new weights, new bounds."""
        if len(self.classes_) < 2:
            raise DataError(
                f"a classifier needs examples of at least 2 classes; received 1 class, {str(self.classes_[0])!r}"
            )
        self._generator = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        low, high = (x.min(), x.max()) if self.bounds is None else self.bounds
        if self.bounds is not None and not low < high:
            raise DataError(f"the lower bound must lie below the upper one; received {low} and {high}")
        self._ink = Scaling(1.0, float(low), float(high - low) or 1.0)
        self._gain, self._offset = self._input_scale(x)
        answers = SIGMOID if self._settled_recipe().loss == "book" else SOFTMAX
        self._learner = Network.create(
            [x.shape[1], *self.hidden, len(self.classes_)],
            activation=[*[self.activation] * len(tuple(self.hidden)), answers.name],
            biases=True,
            rng=self._generator,
            input_shape=tuple(self.input_shape or ()),
            classes=tuple(str(name) for name in self.classes_),
        )

    def _input_scale(self, x: Array) -> tuple[float, float]:
        """Gain and offset that bring X to where training is at ease: the book's ink, or mean 0 and deviation 1.

        Numbers on both sides of zero have no blank paper, unless bounds say so.
        """
        if self.bounds is None and x.min() < 0:
            gain = 1.0 / (float(x.std()) or 1.0)
            return gain, -float(x.mean()) * gain
        book = Scaling.book(self._ink.maximum)
        return float(book.gain), float(book.offset - self._ink.offset * book.gain)

    def _learn(self, x: Array, labels: NDArray[np.int64], recipe: Recipe, epochs: int) -> Network:
        inputs = (self._gain * x + self._offset).astype(self._learner.dtype)
        self._learner, _ = train(self._learner, (inputs, labels), recipe, epochs=epochs, rng=self._generator)
        return self._in_units_of_x()

    def _in_units_of_x(self) -> Network:
        """The learner in float64, with what brought X to its inputs folded into the first layer."""
        chain = Chain((self._learner.inputs,))
        chain.rescale(self._gain, self._offset)
        for layer in self._learner.astype(np.float64).layers:
            chain.dense(layer.weights, layer.biases)
            chain.activate(layer.activation)
        return chain.finish(
            input_shape=self._learner.input_shape, classes=self._learner.classes, scaling=self._ink
        )

    def _settled_recipe(self) -> Recipe:
        return settled_recipe(self.recipe, self.learning_rate)

    def _positions(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        unknown = ~np.isin(labels, self.classes_)
        if unknown.any():
            known = ", ".join(map(str, self.classes_))
            raise DataError(f"unknown label {str(labels[unknown][0])!r}; this classifier knows {known}")
        return np.searchsorted(self.classes_, labels).astype(np.int64)


def _usual_epochs(recipe: Recipe, examples: int) -> int:
    shown = recipe.usual.steps * recipe.images_an_update(examples)
    return int(np.clip(-(-shown // examples), FEWEST_EPOCHS, MOST_EPOCHS))
