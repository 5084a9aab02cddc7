"""Bounds of a PyTorch model, by running its own code on intervals.

An `Interval` is a tensor that knows between what its numbers lie. Whatever the module does with one is looked up
in a table by its name, so that it does not matter how the module is written; what is not in the table is named,
and nothing is proved. Backwards, the intervals' `path` carries linear forms through the same operations by
PyTorch's own differentiation: activations put in their lines (CROWN, Zhang et al. 2018), and what is added to a
form, or lost to rounding, is noted on a `Tape` on the way. Ends of hidden layers are those of interval arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike
from torch import Tensor

from backquery.errors import BackqueryError, ProofError
from backquery.io.torch_curves import curve_named
from backquery.model import Array
from backquery.proofs.curves import Curve
from backquery.proofs.rounding import (
    FEW,
    SPARE,
    error_of_sums,
    gamma,
    unit,
)

OWN = unit(np.float64)
"""The roundoff of the bounds' own arithmetic."""

MOST_NOTES = 10_000
"""Sums that are noted on a tape at most, each a term of one last sum."""

MOST_SIGNALS = 2**22
"""Signals for one image, times outputs, that a model may have: of larger ones a certificate would take minutes."""


class Scored(Protocol):
    """What is asked of a `TorchModel`: its module, and the log-odds by the module's own code."""

    @property
    def module(self) -> torch.nn.Module:
        """At rest."""

    @property
    def dtype(self) -> str:
        """What it computes in."""

    @property
    def outputs(self) -> int:
        """How many log-odds there are."""

    def _scores(self, inputs: Tensor) -> Tensor:
        """Log-odds (n, outputs) of inputs (n, inputs)."""

    def log_odds(self, x: ArrayLike) -> Array:
        """The same of arrays."""


@dataclass(eq=False)
class Tape:
    """What is noted while forms, one for each of n boxes, are carried back; `unknown`: what stopped the module.

    known, lost, bulk: (n,), what was added to the forms, what they may be off by, and the sizes of all sums.
    most, notes: terms of a sum at most, and sums; signals: numbers for one image, in all operations.
    """

    dtype: DTypeLike
    count: int
    outputs: int
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
                return _looked_up(name)(func, *args, **given)
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
            self.path = _Noted.apply(self.path, None, torch.zeros_like(self.low), self.size_of_all, self.tape)
        self.used = True
        return self.path

    def next(self, low: Tensor, high: Tensor, path: Tensor) -> Interval:
        """What comes of this one."""
        return Interval.of(self.dtype, low, high, path, self.tape)

    def noted(self, low: Tensor, high: Tensor, path: Tensor, added: Tensor | None, error: Tensor) -> Interval:
        """What comes of this one by sums that may be off by `error`, `added` being what the path leaves out."""
        low, high = low - error, high + error
        size = torch.maximum(low.abs(), high.abs())
        return self.next(low, high, _Noted.apply(path, added, error, size, self.tape))

    def become(self, other: Interval) -> Interval:
        """Changed in place."""
        if self.shared:
            raise ProofError("an operation in place, of numbers that another name stands for too")
        self.low, self.high, self.path, self.used = other.low, other.high, other.path, False
        return self


class _Noted(torch.autograd.Function):  # type: ignore[misc]
    """The same numbers; on the way back, what is added and lost is noted."""

    @staticmethod
    def forward(ctx: Any, path: Tensor, added: Tensor | None, error: Tensor, size: Tensor, tape: Tape) -> Tensor:
        ctx.given = added, error + FEW * OWN * size, tape
        return path.view_as(path)

    @staticmethod
    def backward(ctx: Any, form: Tensor) -> Any:
        added, error, tape = ctx.given
        tape.note(form, added, error)
        return form, None, None, None, None


class _Lines(torch.autograd.Function):  # type: ignore[misc]
    """An activation: forms pass through the line below it where they are positive, else through that above."""

    @staticmethod
    def forward(
        ctx: Any, path: Tensor, lines: tuple[Tensor, ...], loose: Tensor, size: Tensor, tape: Tape
    ) -> Tensor:
        ctx.given = lines, loose, size, tape
        return torch.zeros_like(path)

    @staticmethod
    def backward(ctx: Any, form: Tensor) -> Any:
        (under, least, over, most), loose, size, tape = ctx.given
        up = form >= 0
        tape.note(form, torch.where(up, least, most), loose)
        through = form * torch.where(up, under, over)
        tape.note(through, None, FEW * OWN * size)
        return through, None, None, None, None


class _Largest(torch.autograd.Function):  # type: ignore[misc]
    """The largest of each window: at least the number at `place`, and where that is `sure` to be it, no more."""

    @staticmethod
    def forward(
        ctx: Any, path: Tensor, place: Tensor, sure: Tensor, high: Tensor, size: Tensor, tape: Tape
    ) -> Tensor:
        ctx.given = path.shape, place, sure, high, size, tape
        return torch.zeros(place.shape, dtype=path.dtype)

    @staticmethod
    def backward(ctx: Any, form: Tensor) -> Any:
        shape, place, sure, high, size, tape = ctx.given
        follows = (form >= 0) | sure
        through, rest = torch.where(follows, form, 0.0), torch.where(follows, 0.0, form)
        tape.note(rest, high, torch.zeros_like(high))
        # Windows overlap, and what they hand back is summed up.
        tape.note(through, None, gamma(SPARE + through[0].numel(), OWN) * size)
        back = torch.zeros(shape, dtype=form.dtype).flatten(2)
        back.scatter_add_(2, place.flatten(2), through.flatten(2))
        return back.reshape(shape), None, None, None, None, None


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
        self._tape = Tape(dtype, len(low), model.outputs)
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
        given = torch.tensor(np.asarray(model.log_odds(images), np.float64))
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


def _first_interval(values: list[Any]) -> Interval:
    for value in values:
        if isinstance(value, Interval):
            return value
        if isinstance(value, list | tuple) and any(isinstance(part, Interval) for part in value):
            return _first_interval(list(value))
    raise ProofError("an operation on no image")


def _looked_up(name: str) -> Callable[..., Any]:
    if name in OPERATIONS:
        return OPERATIONS[name]
    raise ProofError(f"the operation {name}")


def _error(sizes: Tensor, terms: int, tape: Tape, own: int) -> Tensor:
    return torch.tensor(error_of_sums(sizes.numpy(), terms, tape.dtype, own))


# Operations, each given PyTorch's own function and what it was called with


def _same(func: Callable[..., Any], x: Interval, *args: Any, **kwargs: Any) -> Interval:
    """The numbers in other places."""
    if any(isinstance(value, Interval) for value in (*args, *kwargs.values())):
        raise ProofError("places that depend on the image")
    if not _apart(func(_boxes(x.low), *args, **kwargs), x.tape.count):
        raise ProofError("an exchange between images")
    found = x.next(*(func(part, *args, **kwargs) for part in (x.low, x.high, x.taken())))
    x.shared = found.shared = True
    return found


def _boxes(numbers: Tensor) -> Tensor:
    """For each number the box that it belongs to."""
    return torch.arange(len(numbers)).reshape(-1, *(1,) * (numbers.ndim - 1)).expand_as(numbers)


def _apart(boxes: Tensor, count: int) -> bool:
    """Whether each box's numbers still stand together, along the first axis."""
    return boxes.ndim > 0 and len(boxes) == count and torch.equal(boxes, _boxes(boxes))


def _copied(_: Any, x: Interval, *args: Any, **kwargs: Any) -> Interval:
    """The same numbers, once more."""
    kinds = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.dtype)]
    if any(kind not in (x.dtype, torch.float64) for kind in kinds):
        raise ProofError("a change of dtype")
    return x.next(x.low, x.high, x.taken())


def _dropped(_: Any, x: Interval, p: float = 0.5, training: bool = True, inplace: bool = False) -> Interval:
    if training:
        raise ProofError("dropout in training")
    return x if inplace else _copied(_, x)


def _joined(func: Callable[..., Any], parts: Any, *args: Any, **kwargs: Any) -> Interval:
    if not all(isinstance(part, Interval) for part in parts):
        raise ProofError("cat with constants")
    first: Interval = parts[0]
    ends = ([part.low for part in parts], [part.high for part in parts], [part.taken() for part in parts])
    low, high, path = (func(each, *args, **kwargs) for each in ends)
    return first.next(low, high, path)


def _weighted(
    func: Callable[..., Any], x: Interval, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Interval:
    """A linear map by known weights, and a shift: `linear` and the convolutions."""
    if isinstance(weight, Interval) or isinstance(bias, Interval):
        raise ProofError("weights that depend on the image")
    w = weight.double()

    def run(signal: Tensor, by: Tensor) -> Tensor:
        mapped: Tensor = func(signal, by, None, *args, **kwargs)
        return mapped

    middle, reach = (x.low + x.high) / 2, (x.high - x.low) / 2
    terms, own = w[0].numel() + 2, w[0].numel() + w.numel() // w.shape[1]
    sizes, centre, spread = run(x.size_of_all, w.abs()), run(middle, w), run(reach, w.abs())
    shift = None
    if bias is not None:
        behind = 0 if func is torch.nn.functional.linear else centre.ndim - 2
        shift = bias.double().reshape(-1, *(1,) * behind).expand(centre.shape)
        sizes, centre = sizes + shift.abs(), centre + shift
    return x.noted(centre - spread, centre + spread, run(x.taken(), w), shift, _error(sizes, terms, x.tape, own))


def _matrix(_: Any, x: Any, y: Any) -> Interval:
    if not isinstance(x, Interval) or isinstance(y, Interval) or y.ndim != 2:
        raise ProofError("a matrix product of signals")
    return _weighted(torch.nn.functional.linear, x, y.T)


def _padded(
    func: Callable[..., Any], x: Interval, pad: Any, mode: str = "constant", value: Any = None
) -> Interval:
    if mode == "constant" and value:
        raise ProofError("padding with another number than 0")
    return _same(func, x, pad, mode)


def _averaged(func: Callable[..., Any], x: Interval, *args: Any, **kwargs: Any) -> Interval:
    """Means and sums, which rise with each number."""
    low, high, path = (func(part, *args, **kwargs) for part in (x.low, x.high, x.taken()))
    sizes, terms = func(x.size_of_all, *args, **kwargs), x.low[0].numel() + SPARE
    return x.noted(low, high, path, None, _error(sizes, terms, x.tape, terms))


def _normalised(
    _: Any, x: Interval, mean: Tensor, var: Tensor, weight: Tensor | None = None, bias: Tensor | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Interval:  # fmt: skip
    """Batch norm at rest: a gain and a shift for each channel."""
    if training or mean is None or var is None:
        raise ProofError("batch norm in training")
    shape = (1, -1, *(1,) * (x.low.ndim - 2))
    gain = (1 if weight is None else weight.double()) / torch.sqrt(var.double() + eps)
    shift = (0 if bias is None else bias.double()) - mean.double() * gain
    size = (0 if bias is None else bias.double().abs()) + mean.double().abs() * gain.abs()
    return _scaled(x, gain.reshape(shape), shift.reshape(shape), size.reshape(shape))


def _scaled(x: Interval, gain: Tensor, shift: Tensor, size: Tensor) -> Interval:
    """``gain x + shift``, which may be rounded a few times; `size`: of all that the shift is made of."""
    ends = torch.stack([gain * x.low + shift, gain * x.high + shift])
    error = _error(gain.abs() * x.size_of_all + size, FEW, x.tape, FEW)
    added = shift.expand(error.shape)
    return x.noted(ends.amin(0), ends.amax(0), x.taken() * gain, added, error)


def _constant(value: Any) -> Tensor:
    if isinstance(value, Interval):
        raise ProofError("a product of two signals")
    return torch.as_tensor(value).double()


def _added(func: Callable[..., Any], x: Any, y: Any, *, alpha: float = 1) -> Interval:
    if alpha != 1:
        raise ProofError("add with a factor")
    return _sum(x, y, 1.0)


def _subtracted(func: Callable[..., Any], x: Any, y: Any, *, alpha: float = 1) -> Interval:
    if alpha != 1:
        raise ProofError("sub with a factor")
    return _sum(y, x, 1.0, -1.0) if func.__name__ in ("rsub", "__rsub__") else _sum(x, y, -1.0)


def _sum(x: Any, y: Any, second: float, first: float = 1.0) -> Interval:
    """``first x + second y``."""
    if not isinstance(y, Interval):
        shift = second * _constant(y)
        return _fitted(x, first, shift)
    if not isinstance(x, Interval):
        return _fitted(y, second, first * _constant(x))
    ends = [(first * one.low, first * one.high) for one in (x,)] + [(second * y.low, second * y.high)]
    low, high = (sum(torch.minimum(*pair) for pair in ends), sum(torch.maximum(*pair) for pair in ends))
    path = first * x.taken() + second * y.taken()
    error = _error((x.size_of_all + y.size_of_all), 2, x.tape, FEW)
    return x.noted(low, high, path, None, error)


def _fitted(x: Interval, gain: float, shift: Tensor) -> Interval:
    if torch.broadcast_shapes(x.low.shape, shift.shape) != x.low.shape:
        raise ProofError("an image repeated by a larger constant")
    return _scaled(x, torch.tensor(gain, dtype=torch.float64), shift, shift.abs())


def _multiplied(_: Any, x: Any, y: Any) -> Interval:
    signal, factor = (x, _constant(y)) if isinstance(x, Interval) else (y, _constant(x))
    if torch.broadcast_shapes(signal.low.shape, factor.shape) != signal.low.shape:
        raise ProofError("an image repeated by a larger constant")
    nothing = torch.zeros((), dtype=torch.float64)
    return _scaled(signal, factor, nothing, nothing)


def _divided(_: Any, x: Any, y: Any, **kwargs: Any) -> Interval:
    if kwargs or not isinstance(x, Interval):
        raise ProofError("a division by a signal")
    return _multiplied(_, x, 1 / _constant(y))


def _negated(_: Any, x: Interval) -> Interval:
    return x.next(-x.high, -x.low, -x.taken())


def _in_place(operation: Callable[..., Interval]) -> Callable[..., Interval]:
    return lambda func, x, *args, **kwargs: x.become(operation(func, x, *args, **kwargs))


def _curved(name: str) -> Callable[..., Interval]:
    """An activation, by PyTorch's name."""

    def operation(_: Any, x: Interval, *args: Any, inplace: bool = False, **kwargs: Any) -> Interval:
        if args and isinstance(args[-1], bool):
            inplace, args = args[-1], args[:-1]
        found = _through(curve_named(name, *args, **kwargs), x)
        return x.become(found) if inplace else found

    return operation


def _through(curve: Curve, x: Interval) -> Interval:
    low, high = x.low.numpy(), x.high.numpy()
    with np.errstate(all="ignore"):
        lines = curve.lines(low, high)
        ends = curve.ends(low, high)
        size = np.maximum.reduce([np.abs(part) for part in (low, high, *ends)])
        loose = curve.loose(size, x.tape.dtype)
    parts = tuple(torch.tensor(part) for part in (lines.under, lines.least, lines.over, lines.most))
    away = torch.tensor(loose)
    path = _Lines.apply(x.taken(), parts, away, torch.tensor(size), x.tape)
    return x.next(torch.tensor(ends[0]) - away, torch.tensor(ends[1]) + away, path)


def _pooled(
    _: Any, x: Interval, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Interval:  # fmt: skip
    """The largest of each window of a picture."""
    if return_indices or x.low.ndim != 4:
        raise ProofError("max_pool2d with places")
    pool = torch.nn.functional.max_pool2d
    settings = (kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    low, place = pool(x.low, *settings, return_indices=True)
    high = pool(x.high, *settings)
    chosen = x.high.flatten(2).gather(2, place.flatten(2)).reshape(place.shape)
    sure = (
        _is_largest(x.high, low, chosen, settings) if not ceil_mode else torch.zeros_like(place, dtype=torch.bool)
    )
    size = x.size_of_all.flatten(2).gather(2, place.flatten(2)).reshape(place.shape)
    return x.next(low, high, _Largest.apply(x.taken(), place, sure, high, size, x.tape))


def _is_largest(high: Tensor, low: Tensor, chosen: Tensor, settings: Any) -> Tensor:
    """Whether no other number of a window can exceed what the chosen one is at least."""
    (rows, columns), stride, (above, beside), dilation, _ = (_pair(one) for one in settings)
    wide = torch.nn.functional.pad(high, (beside, beside, above, above), value=-torch.inf)
    n, channels = high.shape[:2]
    windows = torch.nn.functional.unfold(wide, (rows, columns), dilation, 0, stride)
    windows = windows.reshape(n, channels, rows * columns, -1)
    more = (windows > low.flatten(2)[:, :, None]).sum(2).reshape(low.shape)
    return more == (chosen > low)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


PASSIVE = {
    "__get__", "size", "dim", "numel", "is_floating_point", "__len__", "is_contiguous", "stride", "ndimension",
    "type", "get_device", "is_complex", "nelement",
}  # fmt: skip
"""What is asked of a tensor beside its numbers."""

_SAME = (
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose", "unflatten", "__getitem__",
    "narrow", "select", "movedim", "swapaxes", "channel_shuffle", "pixel_shuffle",
)  # fmt: skip
_CURVES = (
    "relu", "leaky_relu", "elu", "selu", "celu", "sigmoid", "tanh", "silu", "gelu", "softplus", "hardtanh",
    "relu6", "hardswish", "hardsigmoid", "log_sigmoid", "softsign", "clamp", "clamp_min", "log", "abs",
)  # fmt: skip

OPERATIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(("contiguous", "clone", "to", "double", "detach"), _copied),
    **dict.fromkeys(
        ("dropout", "dropout2d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"), _dropped
    ),
    **dict.fromkeys(("cat", "concat"), _joined),
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), _weighted),
    **dict.fromkeys(
        ("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean", "sum"), _averaged
    ),
    **dict.fromkeys(("add", "__add__", "__radd__"), _added),
    **dict.fromkeys(("sub", "__sub__", "rsub", "__rsub__", "subtract"), _subtracted),
    **dict.fromkeys(("mul", "__mul__", "__rmul__", "multiply"), _multiplied),
    **dict.fromkeys(("div", "__truediv__", "true_divide", "divide"), _divided),
    **dict.fromkeys(("neg", "__neg__", "negative"), _negated),
    **dict.fromkeys(("add_", "__iadd__"), _in_place(_added)),
    **dict.fromkeys(("sub_", "__isub__"), _in_place(_subtracted)),
    **dict.fromkeys(("mul_", "__imul__"), _in_place(_multiplied)),
    **dict.fromkeys(("div_", "__itruediv__"), _in_place(_divided)),
    **{name: _curved(name) for name in _CURVES},
    **{f"{name}_": _in_place(_curved(name)) for name in _CURVES},
    **dict.fromkeys(("matmul", "__matmul__"), _matrix),
    "pad": _padded,
    "batch_norm": _normalised,
    "max_pool2d": _pooled,
}
"""What is known of PyTorch's functions and methods, by their names."""
