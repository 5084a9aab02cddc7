"""Bounds of a PyTorch model, by running its own code on intervals.

An `Interval` is a tensor that knows between what its numbers lie. Whatever the module does with one is looked up
in a table by its name, so that it does not matter how the module is written; what is not in the table is named,
and nothing is proved. Backwards, the intervals' `path` carries linear forms through the same operations by
PyTorch's own differentiation: activations put in their lines (CROWN, Zhang et al. 2018), and what is added to a
form, or lost to rounding, is noted on a `Tape` on the way. Ends of hidden layers are those of interval arithmetic.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike
from torch import Tensor

from backquery.errors import BackqueryError, ProofError
from backquery.io.torch_intervals import MOST_NOTES, OWN, Interval, Tape
from backquery.io.torch_operations import OPERATIONS
from backquery.model import Array
from backquery.proofs.rounding import FEW, SPARE, gamma, unit


class Scored(Protocol):
    """What is asked of a `TorchModel`: its module, and the logits by the module's own code."""

    @property
    def module(self) -> torch.nn.Module:
        """At rest."""

    @property
    def dtype(self) -> str:
        """What it computes in."""

    @property
    def outputs(self) -> int:
        """How many logits there are."""

    def _scores(self, inputs: Tensor) -> Tensor:
        """Logits (n, outputs) of inputs (n, inputs)."""

    def logits(self, x: ArrayLike) -> Array:
        """The same of arrays."""


class TorchProver:
    """A model whose module is run on intervals; see `backquery.proofs.Prover`."""

    def __init__(self, model: Scored, dtype: DTypeLike) -> None:
        self.model, self.dtype = model, dtype
        tensors = (*model.module.parameters(), *model.module.buffers())
        if any(tensor.device.type != "cpu" for tensor in tensors):
            raise ProofError("the arithmetic of a graphics processor")
        if model.dtype == "float32" and torch.get_float32_matmul_precision() != "highest":
            raise ProofError("the arithmetic of float32 matrices that may be rounded further")

    def over(self, low: Array, high: Array) -> TorchBounds:
        """Bounds for all images between `low` and `high` (n, inputs)."""
        return TorchBounds(self.model, self.dtype, low, high)


class TorchBounds:
    """A model over n boxes of images."""

    def __init__(self, model: Scored, dtype: DTypeLike, low: Array, high: Array) -> None:
        lowest, highest = (torch.tensor(np.asarray(end, np.float64)) for end in (low, high))
        # A program takes the image into its own dtype first.
        away = 2 * unit(dtype) * torch.maximum(lowest.abs(), highest.abs())
        self._low, self._high = lowest - away, highest + away
        self._tape = Tape(dtype, len(low), model.outputs, OPERATIONS)
        with torch.inference_mode(False), torch.enable_grad():
            self._start = torch.zeros_like(self._low).requires_grad_()
            like = getattr(torch, model.dtype)
            images = Interval.of(like, self._low, self._high, self._start, self._tape)
            self._answers = self._scores(model, images)
        self._check(model, (low + high) / 2)

    def _scores(self, model: Scored, images: Interval) -> Interval:
        try:
            answers = model._scores(images)
        except BackqueryError as error:
            raise ProofError(self._tape.unknown or str(error)) from error
        if not isinstance(answers, Interval):
            raise ProofError("answers that do not come of the image")
        return answers

    def _check(self, model: Scored, images: Array) -> None:
        """That the program's own answers lie between the bounds: a table of operations may be mistaken."""
        given = torch.tensor(np.asarray(model.logits(images), np.float64))
        if not bool(((self._answers.low <= given) & (given <= self._answers.high)).all()):
            raise ProofError("an operation that gives other numbers than those known of it")

    def lowest(self, forms: Array) -> Array:
        """See `backquery.proofs.Bounds`."""
        wanted = np.broadcast_to(forms, (len(self._low), *forms.shape[1:]))
        rows = [self._lowest_of(torch.tensor(wanted[:, row])) for row in range(wanted.shape[1])]
        found = torch.stack(rows, dim=1).numpy()
        return np.where(np.isnan(found), -np.inf, found)

    def _lowest_of(self, form: Tensor) -> Tensor:
        answers, tape = self._answers, self._tape
        # The form's own coefficients may be off by a few roundings.
        lost = (form.abs() * answers.size_of_all).sum(1)
        plain = torch.where(form > 0, form * answers.low, form * answers.high).sum(1)
        tape.begin()
        with torch.inference_mode(False), torch.enable_grad():
            (image,) = torch.autograd.grad(
                answers.path, self._start, form, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        closed = torch.where(image > 0, image * self._low, image * self._high).sum(1) + tape.known - tape.lost
        size = (image.abs() * torch.maximum(self._low.abs(), self._high.abs())).sum(1)
        terms = 4 * max(tape.most, image.shape[1]) + MOST_NOTES
        closed = closed - gamma(terms, OWN) * (tape.bulk + size) - FEW * OWN * lost
        plain = plain - gamma(form.shape[1] + SPARE, OWN) * 2 * lost
        return torch.fmax(closed, plain)
