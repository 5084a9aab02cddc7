"""Any PyTorch module that maps images to scores, as a model that can be asked backwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from backquery.errors import MissingExtraError, ModelError
from backquery.model import SOFTMAX, Activation, Array, Scaling, Statistics, checked_inputs, ends_of, scaled_images

if TYPE_CHECKING:
    import torch

Outputs = Literal["logits", "probabilities"]

FORWARD, BACKWARD = 256, 32
"""Images that are run at once, alone and with their Jacobian, so that memory stays small."""


def import_torch(purpose: str = "A PyTorch model") -> Any:
    """The package, or a `MissingExtraError` that says what needs it and how to install it."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(purpose, "PyTorch", "torch") from None
    return torch


def from_torch(
    module: torch.nn.Module,
    *,
    input_shape: Sequence[int],
    outputs: Outputs = "logits",
    module_shape: Sequence[int] | None = None,
    scaling: Scaling | None = None,
    classes: Sequence[str] = (),
    statistics: Statistics | None = None,
    dtype: Literal["float64", "float32"] = "float64",
) -> TorchModel:
    """A PyTorch classifier as a `Model`: it can be queried, evaluated and asked backwards.

    A copy is taken, in evaluation mode and without gradients, on the device where `module` lies; `module` itself
    is neither changed nor run, and what it learns later is not seen. The copy is in float64, because log-odds are
    asked for more finely than float32 can promise; `dtype` is for a module that insists on float32, and for
    reading many images three times faster.

    input_shape: the shape of one image, such as (28, 28). module_shape: the shape that `module` takes one image
    in, by default (1, height, width) for images of two axes, and `input_shape` for all others.
    outputs: ``"logits"`` for scores whose softmax is the answer (log-probabilities are such scores too), or
    ``"probabilities"``. A single output is taken as that of the second of two labels: a logit or its sigmoid.
    scaling: how raw pixels become inputs. classes: the labels' names. statistics: what the model is to remember of
    its training images; as with a `Network`, ``replace(model, statistics=fit_statistics(model, data))`` adds them.

    `ModelError` tells what of the module's answers cannot be used, after a trial with two images.
    """
    torch = import_torch()
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"from_torch takes a torch.nn.Module; received {type(module).__name__}")
    if outputs not in ("logits", "probabilities"):
        raise ModelError(f"outputs are 'logits' or 'probabilities'; received {outputs!r}")
    if dtype not in ("float64", "float32"):
        raise ModelError(f"the dtype is 'float64' or 'float32'; received {dtype!r}")
    shape = tuple(input_shape)
    inner = tuple(module_shape or ((1, *shape) if len(shape) == 2 else shape))
    if not shape or min(shape) < 1 or prod(shape) != prod(inner):
        raise ModelError(f"images of shape {shape} cannot be given to the module as {inner}: pixels must agree")
    model = TorchModel(_copy(torch, module, dtype), shape, inner, (), outputs, scaling, None, dtype)
    count = _outputs_in_trial(model)
    names = tuple(classes) or tuple(str(position) for position in range(count))
    if len(names) != count:
        raise ModelError(f"{count} outputs need as many class names; received {len(names)}")
    model = replace(model, classes=names, statistics=statistics)
    _check_slopes(model)
    return model


@dataclass(frozen=True, eq=False)
class TorchModel:
    """A PyTorch module as a `Model`, made by `from_torch`; like a `Network` it never changes.

    module: a copy of the user's, in evaluation mode, without gradients; module_shape: one image as it takes it;
    given: whether its outputs are ``"logits"`` or ``"probabilities"``. Answers are softmax over `classes`.
    """

    module: torch.nn.Module
    input_shape: tuple[int, ...]
    module_shape: tuple[int, ...]
    classes: tuple[str, ...]
    given: Outputs = "logits"
    scaling: Scaling | None = None
    statistics: Statistics | None = None
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ModelError("the class names must differ from one another")
        known = self.statistics
        if known is not None and len(known.mean) != self.inputs:
            raise ModelError("the statistics belong to images of another size")
        if known is not None and known.typical is not None and known.typical.shape != (self.outputs,) * 2:
            raise ModelError("the statistics belong to a model with other labels")

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return prod(self.input_shape)

    @property
    def outputs(self) -> int:
        """The number of answers, one for each label."""
        return len(self.classes)

    @property
    def output_activation(self) -> Activation:
        """Softmax: answers are probabilities of the labels."""
        return SOFTMAX

    def scale(self, images: ArrayLike) -> Array:
        """Raw images (n, ...) to inputs (n, inputs) by the model's scaling."""
        return scaled_images(images, self.scaling, self.input_shape, self.dtype)

    def query(self, x: ArrayLike) -> Array:
        """The answers to one input vector (inputs,) or one image, or to a batch (n, inputs), in input scale."""
        answers = SOFTMAX.function(self.log_odds(x))
        single = np.ndim(x) == 1 or np.shape(x) == self.input_shape
        return answers[0] if single else answers

    def query_images(self, images: ArrayLike) -> Array:
        """The answers (n, outputs) to raw images (n, ...), 0 for paper and the scaling's maximum for ink."""
        return self.query(self.scale(images))

    def log_odds(self, x: ArrayLike) -> Array:
        """The log-odds (n, outputs), with mean zero, of inputs (n, inputs)."""
        torch = import_torch()
        with _clean(torch), torch.no_grad():
            parts = [_numpy(self._scores(part)) for part in self._tensors(x, FORWARD)]
        return np.concatenate(parts) if parts else np.zeros((0, self.outputs), self.dtype)

    def log_odds_and_jacobian(self, x: ArrayLike) -> tuple[Array, Array]:
        """The log-odds (n, outputs) and their derivatives by the inputs (n, outputs, inputs)."""
        torch = import_torch()
        with _clean(torch):
            parts = [self._pulled_back(torch, part) for part in self._tensors(x, BACKWARD)]
        if not parts:
            empty = (0, self.outputs, self.inputs)
            return np.zeros(empty[:2], self.dtype), np.zeros(empty, self.dtype)
        return np.concatenate([values for values, _ in parts]), np.concatenate([slopes for _, slopes in parts])

    def _pulled_back(self, torch: Any, inputs: torch.Tensor) -> tuple[Array, Array]:
        """One run forwards, and one vectorised run backwards for all outputs of all images."""
        values, pull = torch.func.vjp(self._scores, inputs)
        units = torch.eye(self.outputs, dtype=inputs.dtype, device=inputs.device)
        units = units[:, None, :].expand(-1, len(inputs), -1)
        with warnings.catch_warnings():
            # Attention has no batched rule for its derivative yet; the loop in its place is right, only slower.
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            (slopes,) = torch.func.vmap(pull)(units)
        return _numpy(values), np.ascontiguousarray(_numpy(slopes).transpose(1, 0, 2))

    def _tensors(self, x: ArrayLike, size: int) -> Iterator[torch.Tensor]:
        torch = import_torch()
        rows = checked_inputs(x, self.input_shape, self.dtype)
        device = _device(torch, self.module)
        for begin in range(0, len(rows), size):
            yield torch.tensor(rows[begin : begin + size], device=device)

    def _scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Centred log-odds (n, outputs) of inputs (n, inputs)."""
        torch = import_torch()
        scores = self._answers_of_module(inputs)
        if self.given == "probabilities":
            if scores.shape[1] == 1:
                scores = torch.cat([1 - scores, scores], dim=1)
            # A probability may have underflowed to 0, whose logarithm nothing could centre.
            scores = scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        elif scores.shape[1] == 1:
            scores = torch.cat([-scores / 2, scores / 2], dim=1)
        return scores - scores.mean(dim=1, keepdim=True)

    def _answers_of_module(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the module says, (n, outputs), where it drops an axis of length one as well."""
        # A clone, because a first module that works in place must not overwrite what is differentiated.
        images = inputs.reshape(-1, *self.module_shape).clone()
        answers: torch.Tensor = self.module(images).to(inputs.dtype)
        return answers.reshape(len(inputs), -1) if answers.ndim == 1 else answers


def _copy(torch: Any, module: torch.nn.Module, dtype: str) -> torch.nn.Module:
    try:
        with _clean(torch):
            copy: torch.nn.Module = deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"the module cannot be copied ({error}); give a module whose tensors are all parameters or buffers"
        ) from error
    copy.zero_grad(set_to_none=True)
    return copy.to(getattr(torch, dtype)).eval().requires_grad_(False)


def _outputs_in_trial(model: TorchModel) -> int:
    """How many labels the module answers about, after everything that can be checked has been."""
    probes = _probes(model)
    together = _said(model, probes)
    finite = bool(np.all(np.isfinite(together)))
    if together.ndim != 2 or len(together) != len(probes) or not finite:
        raise ModelError(
            f"the module must give finite scores of shape (n, outputs) for n images; for {len(probes)} it gave "
            f"{together.shape}" + ("" if finite else ", not all finite")
        )
    alone = np.concatenate([_said(model, probe[None]) for probe in probes])
    if alone.shape != together.shape or np.abs(alone - together).max() > 1e-4 * (np.abs(together).max() + 1):
        raise ModelError(
            "the module does not answer about each image alone: two runs, of two images together and one by one, "
            "disagree. Look for noise or dropout that ignores eval(), or batch norm without running statistics"
        )
    if model.given == "probabilities":
        _check_probabilities(together)
    return max(int(together.shape[1]), 2)


def _probes(model: TorchModel) -> Array:
    """Two images of noise between paper and ink."""
    low, high = ends_of(model)
    drawn: Array = np.random.default_rng(0).uniform(0, 1, (2, model.inputs))
    return drawn * (high - low) + low


def _check_slopes(model: TorchModel) -> None:
    """Refuse a module that cannot be differentiated, or hides what its answers come from."""
    try:
        values, slopes = model.log_odds_and_jacobian(_probes(model))
    except Exception as error:
        raise ModelError(f"the module cannot be differentiated with torch.func: {error}") from error
    differ = np.abs(values[0] - values[1]).max() > 1e-9
    if not np.all(np.isfinite(slopes)) or (differ and not slopes.any()):
        raise ModelError(
            "the module's answers change with the image, but their derivatives are zero or not finite; look for "
            "detach(), no_grad() or rounding in its forward pass"
        )


def _said(model: TorchModel, inputs: Array) -> Array:
    torch = import_torch()
    try:
        with _clean(torch), torch.no_grad():
            (part,) = model._tensors(inputs, len(inputs))
            answers = model._answers_of_module(part)
    except Exception as error:
        raise ModelError(
            f"the module does not run on images of shape {(len(inputs), *model.module_shape)} in {model.dtype}: "
            f"{error}. Give module_shape=, such as ({model.inputs},) or (1, height, width), or dtype='float32'"
        ) from error
    return _numpy(answers)


def _check_probabilities(answers: Array) -> None:
    sums = answers.sum(axis=1) if answers.shape[1] > 1 else np.ones(1)
    if answers.min() < 0 or answers.max() > 1 or np.abs(sums - 1).max() > 1e-3:
        raise ModelError(
            "the module's outputs are no probabilities of one label among several, which lie between 0 and 1 "
            f"and add up to 1; received outputs that run from {answers.min():.4g} to {answers.max():.4g} and add "
            f"up to {sums[0]:.4g}. Say outputs='logits' for scores, and leave out a last sigmoid"
        )


@contextmanager
def _clean(torch: Any) -> Iterator[None]:
    """Leave PyTorch's inference mode, in which nothing can be differentiated; it is back afterwards."""
    with torch.inference_mode(False):
        yield


def _device(torch: Any, module: torch.nn.Module) -> torch.device:
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")


def _numpy(tensor: torch.Tensor) -> Array:
    values: Array = tensor.detach().cpu().numpy()
    return values
