"""Tensors that know between what their numbers lie, and what is noted when forms are carried back through them.

An `Interval` is what a module is run on instead of an image, see `torch_bounds`: whatever is done with one is
looked up in its tape's table of operations, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from backquery.errors import ProofError
from backquery.proofs.rounding import FEW, SPARE, gamma, unit

OWN = unit(np.float64)
"""The roundoff of the bounds' own arithmetic."""

MOST_NOTES = 10_000
"""Sums that are noted on a tape at most, each a term of one last sum."""

MOST_SIGNALS = 2**22
"""Signals for one image, times outputs, that a model may have: of larger ones a certificate would take minutes."""

PASSIVE = {
    "__get__", "size", "dim", "numel", "is_floating_point", "__len__", "is_contiguous", "stride", "ndimension",
    "type", "get_device", "is_complex", "nelement",
}  # fmt: skip
"""What is asked of a tensor beside its numbers."""


@dataclass(eq=False)
class Tape:
    """What is noted while forms, one for each of n boxes, are carried back; `unknown`: what stopped the module.

    known, lost, bulk: (n,), what was added to the forms, what they may be off by, and the sizes of all sums.
    most, notes: terms of a sum at most, and sums; signals: numbers for one image, in all operations.
    """

    dtype: DTypeLike
    count: int
    outputs: int
    operations: Mapping[str, Callable[..., Any]]
    unknown: str = ""
    most: int = 1
    notes: int = 0
    signals: int = 0
    known: Tensor = field(init=False)
    lost: Tensor = field(init=False)
    bulk: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was noted."""
        self.notes = 0
        self.known, self.lost, self.bulk = (torch.zeros(self.count, dtype=torch.float64) for _ in range(3))

    def operation(self, name: str) -> Callable[..., Any]:
        """What is known of an operation; `ProofError` where nothing is."""
        if name in self.operations:
            return self.operations[name]
        raise ProofError(f"the operation {name}")

    def hear(self, signals: int) -> None:
        """That an operation gives so many for one image."""
        self.signals += signals
        if self.signals * self.outputs > MOST_SIGNALS:
            raise ProofError(f"a model of more than {self.signals} signals and {self.outputs} outputs")

    def note(self, form: Tensor, added: Tensor | None, error: Tensor) -> None:
        """That ``form added`` is added and ``|form| error`` may be lost."""
        size = form.abs()
        lost = (size * error).flatten(1).sum(1)
        self.most = max(self.most, form[0].numel())
        self.notes += 1
        if self.notes > MOST_NOTES:
            raise ProofError(f"a module of more than {MOST_NOTES} operations")
        self.lost, self.bulk = self.lost + lost, self.bulk + lost
        if added is not None:
            self.known = self.known + (form * added).flatten(1).sum(1)
            self.bulk = self.bulk + (size * added.abs()).flatten(1).sum(1)


class Interval(Tensor):  # type: ignore[misc]
    """A tensor whose numbers lie between `low` and `high`, in float64, and its path for forms on their way back.

    shared: whether another one may look at the same numbers, so that they must not be changed in place.
    """

    low: Tensor
    high: Tensor
    path: Tensor
    tape: Tape
    used: bool
    shared: bool

    @classmethod
    def of(cls, like: torch.dtype, low: Tensor, high: Tensor, path: Tensor, tape: Tape) -> Interval:
        """One that shows itself in the dtype `like`, as the module has it."""
        if low.ndim == 0 or len(low) != tape.count:
            raise ProofError("an exchange between images")
        if not path.requires_grad:
            raise ProofError("a part that is run without derivatives")
        # No number of its own: whatever took it for one would make all bounds NaN, and prove nothing.
        self: Interval = torch.Tensor._make_subclass(cls, torch.full(low.shape, torch.nan, dtype=like))
        self.low, self.high, self.path, self.tape = low, high, path, tape
        self.used = self.shared = False
        tape.hear(low[0].numel())
        return self

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What the table says of an operation; `ProofError` names one that is not there."""
        name, given = getattr(func, "__name__", "?"), kwargs or {}
        with torch._C.DisableTorchFunctionSubclass(), torch.enable_grad():
            if name in PASSIVE and not isinstance(found := func(*args, **given), Tensor):
                return found
            tape = _first_interval([*args, *given.values()]).tape
            try:
                return tape.operation(name)(func, *args, **given)
            except ProofError as error:
                tape.unknown = tape.unknown or str(error)
                raise
            except Exception as error:
                tape.unknown = tape.unknown or f"the operation {name} as it is used here"
                raise ProofError(tape.unknown) from error

    @property
    def size_of_all(self) -> Tensor:
        """How large each number may be."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def taken(self) -> Tensor:
        """The path for one more operation: no more than two forms meet at any place, so that sums stay exact."""
        if self.used:
            self.path = Noted.apply(self.path, None, torch.zeros_like(self.low), self.size_of_all, self.tape)
        self.used = True
        return self.path

    def next(self, low: Tensor, high: Tensor, path: Tensor) -> Interval:
        """What comes of this one."""
        return Interval.of(self.dtype, low, high, path, self.tape)

    def noted(self, low: Tensor, high: Tensor, path: Tensor, added: Tensor | None, error: Tensor) -> Interval:
        """What comes of this one by sums that may be off by `error`, `added` being what the path leaves out."""
        low, high = low - error, high + error
        size = torch.maximum(low.abs(), high.abs())
        return self.next(low, high, Noted.apply(path, added, error, size, self.tape))

    def become(self, other: Interval) -> Interval:
        """Changed in place."""
        if self.shared:
            raise ProofError("an operation in place, of numbers that another name stands for too")
        self.low, self.high, self.path, self.used = other.low, other.high, other.path, False
        return self


class Noted(torch.autograd.Function):  # type: ignore[misc]
    """The same numbers; on the way back, what is added and lost is noted."""

    @staticmethod
    def forward(ctx: Any, path: Tensor, added: Tensor | None, error: Tensor, size: Tensor, tape: Tape) -> Tensor:
        """The path onwards, whose numbers do not matter."""
        ctx.given = added, error + FEW * OWN * size, tape
        return path.view_as(path)

    @staticmethod
    def backward(ctx: Any, form: Tensor) -> Any:
        """The form for what came in, after what is noted."""
        added, error, tape = ctx.given
        tape.note(form, added, error)
        return form, None, None, None, None


class Through(torch.autograd.Function):  # type: ignore[misc]
    """An activation: forms pass through the line below it where they are positive, else through that above."""

    @staticmethod
    def forward(
        ctx: Any, path: Tensor, lines: tuple[Tensor, ...], loose: Tensor, size: Tensor, tape: Tape
    ) -> Tensor:
        """The path onwards, whose numbers do not matter."""
        ctx.given = lines, loose, size, tape
        return torch.zeros_like(path)

    @staticmethod
    def backward(ctx: Any, form: Tensor) -> Any:
        """The form for what came in, after what is noted."""
        (under, least, over, most), loose, size, tape = ctx.given
        up = form >= 0
        tape.note(form, torch.where(up, least, most), loose)
        through = form * torch.where(up, under, over)
        tape.note(through, None, FEW * OWN * size)
        return through, None, None, None, None


class Largest(torch.autograd.Function):  # type: ignore[misc]
    """The largest of each window: at least the number at `place`, and where that is `sure` to be it, no more."""

    @staticmethod
    def forward(
        ctx: Any, path: Tensor, place: Tensor, sure: Tensor, high: Tensor, size: Tensor, tape: Tape
    ) -> Tensor:
        """The path onwards, whose numbers do not matter."""
        ctx.given = path.shape, place, sure, high, size, tape
        return torch.zeros(place.shape, dtype=path.dtype)

    @staticmethod
    def backward(ctx: Any, form: Tensor) -> Any:
        """The form for what came in, after what is noted."""
        shape, place, sure, high, size, tape = ctx.given
        follows = (form >= 0) | sure
        through, rest = torch.where(follows, form, 0.0), torch.where(follows, 0.0, form)
        tape.note(rest, high, torch.zeros_like(high))
        # Windows overlap, and what they hand back is summed up.
        tape.note(through, None, gamma(SPARE + through[0].numel(), OWN) * size)
        back = torch.zeros(shape, dtype=form.dtype).flatten(2)
        back.scatter_add_(2, place.flatten(2), through.flatten(2))
        return back.reshape(shape), None, None, None, None, None


def _first_interval(values: list[Any]) -> Interval:
    for value in values:
        if isinstance(value, Interval):
            return value
        if isinstance(value, list | tuple) and any(isinstance(part, Interval) for part in value):
            return _first_interval(list(value))
    raise ProofError("an operation on no image")
