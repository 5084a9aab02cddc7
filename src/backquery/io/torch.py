"""Any PyTorch module that maps images to scores, as a model that can be asked backwards."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from backquery.errors import ModelError, assume
from backquery.io.comparison import agree, allowed, probes
from backquery.io.outputs import NAMES, Outputs, far_probes, settled, within_ones
from backquery.io.torch_layers import all_heard, heard, in_trial
from backquery.io.torch_module import (
    asked,
    at_rest,
    copied,
    device_of,
    eager,
    exactly,
    first_line,
    import_torch,
    own_dtype,
    peculiarities,
    precision,
    the_scores,
)
from backquery.io.torch_recording import Recorder
from backquery.model import (
    IDENTITY,
    SIGMOID,
    SOFTMAX,
    Activation,
    Array,
    Scaling,
    Seed,
    Statistics,
    as_inputs,
    brief,
    checked_inputs,
    ends_of,
    finite_answer,
    generator_of,
    refuse_raw,
    scaled_images,
    seed_of,
)

if TYPE_CHECKING:
    import torch

    from backquery.proofs import Prover

FORWARD, ON_CARD, BACKWARD = 64, 256, 32
"""Images run at once: on a processor, whose cache holds so few; on a graphics card; with their Jacobian."""

FORWARD_NUMBERS, BACKWARD_NUMBERS = 2**20, 2**21
"""Inputs at once, and derivatives by them, where images are large, so that memory stays small."""


def from_torch(
    module: torch.nn.Module,
    *,
    input_shape: Sequence[int],
    outputs: Outputs | None = None,
    module_shape: Sequence[int] | None = None,
    scaling: Scaling | None = None,
    classes: Sequence[str] = (),
    statistics: Statistics | None = None,
    dtype: Literal["float64", "float32"] = "float64",
) -> TorchModel:
    """A PyTorch classifier as a `Model`: it can be queried, evaluated and asked backwards.

    A copy is taken, in evaluation mode and without gradients, on the device where `module` lies; what `module`
    learns later is not seen. The copy is in float64, because logits are asked for more finely than float32 can
    promise; `dtype` is for a module that insists on float32, and for reading many images three times faster.
    Before it is returned, its answers to some forty trial images are compared with those of `module` itself, in
    evaluation mode; whatever that leaves in the module (modes, buffers, attributes) and PyTorch's random numbers
    are put back as they were. DataParallel and torch.compile are taken off.

    input_shape: the shape of one image, such as (28, 28). module_shape: the shape that `module` takes one image
    in, by default (1, height, width) for images of two axes, and `input_shape` for all others.
    outputs: ``"logits"`` for scores whose softmax is the answer (log-probabilities are such scores too),
    ``"probabilities"``, or ``"sigmoids"`` for answers that each lie between 0 and 1 and do not add up to 1. By
    default trial images tell, and an `AssumptionWarning` says what other than logits was found; what is said here
    is checked. A single output is taken as that of the second of two labels: a logit or its sigmoid.
    scaling: how raw pixels become inputs. classes: the labels' names. statistics: what the model is to remember of
    its training images; as with a `Network`, ``replace(model, statistics=fit_statistics(model, data))`` adds them.

    `ModelError` tells what of the module's answers cannot be used, or that its copy answers otherwise.
    """
    torch = import_torch()
    original = eager(torch, module)
    if outputs not in (None, *NAMES):
        raise ModelError(f"outputs are {', '.join(map(repr, NAMES))}; received {outputs!r}")
    if dtype not in ("float64", "float32"):
        raise ModelError(f"the dtype is 'float64' or 'float32'; received {dtype!r}")
    shape = tuple(input_shape)
    inner = tuple(module_shape or ((1, *shape) if len(shape) == 2 else shape))
    if not shape or min(shape) < 1 or prod(shape) != prod(inner):
        raise ModelError(f"images of shape {shape} cannot be given to the module as {inner}: pixels must agree")
    with at_rest(torch, original):
        model = TorchModel(copied(torch, original, dtype), shape, inner, (), "logits", scaling, None, dtype)
        count = _outputs_in_trial(model)
        names = tuple(classes) or tuple(str(position) for position in range(count))
        if len(names) != count:
            raise ModelError(f"{count} outputs need as many class names; received {len(names)}")
        given = settled(outputs, _seen(model))
        model = _before_its_last(torch, replace(model, classes=names, statistics=statistics, given=given))
        _check_slopes(model)
        _compare(torch, model, original)
    return model


@dataclass(frozen=True, eq=False)
class TorchModel:
    """A PyTorch module as a `Model`, made by `from_torch`; like a `Network` it never changes.

    module: a copy of the user's, in evaluation mode, without gradients; module_shape: one image as it takes it;
    given: what the user's module's outputs are, which decides whether answers are a softmax over `classes` or
    sigmoids, each for itself; bare: whether the copy gives their logits, being without its last layer; played:
    whether what is asked often is recorded on a graphics card, and played back.
    """

    __repr__ = brief

    module: torch.nn.Module
    input_shape: tuple[int, ...]
    module_shape: tuple[int, ...]
    classes: tuple[str, ...]
    given: Outputs = "logits"
    scaling: Scaling | None = None
    statistics: Statistics | None = None
    dtype: str = "float64"
    bare: bool = False
    played: bool = False

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
        """Softmax, where answers are probabilities of the labels, or sigmoid, where each stands for itself."""
        return SIGMOID if self.given == "sigmoids" else SOFTMAX

    def scale(self, images: ArrayLike) -> Array:
        """Raw images (n, ...) to inputs (n, inputs) by the model's scaling."""
        return scaled_images(images, self.scaling, self.input_shape, self.dtype)

    def query(self, x: ArrayLike) -> Array:
        """The answers to one input vector (inputs,) or one image, or to a batch (n, inputs), in input scale.

        `DataError` for raw pixels, which `query_images` takes; `ModelError` for a single one whose answers are not
        finite.
        """
        refuse_raw(as_inputs(x, self.input_shape, self.dtype), self.scaling)
        answers = self.output_activation.function(self.logits(x))
        single = np.ndim(x) == 1 or np.shape(x) == self.input_shape
        return finite_answer(answers[0]) if single else answers

    def query_images(self, images: ArrayLike) -> Array:
        """The answers (n, outputs) to raw images (n, ...), 0 for paper and the scaling's maximum for ink."""
        return self.query(self.scale(images))

    def logits(self, x: ArrayLike) -> Array:
        """The logits (n, outputs) of inputs (n, inputs), with mean zero where answers are a softmax."""
        torch = import_torch()
        with exactly(torch, self.module, self.inputs), torch.no_grad():
            most = ON_CARD if self._device == "cuda" else FORWARD
            size = min(max(FORWARD_NUMBERS // self.inputs, 1), most)
            parts = [self._forwards(part)[0].numpy() for part in self._tensors(x, size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.outputs), self.dtype)

    def logits_and_jacobian(self, x: ArrayLike) -> tuple[Array, Array]:
        """The logits (n, outputs) and their derivatives by the inputs (n, outputs, inputs)."""
        return self.logits_and_products(x, np.eye(self.outputs)[None])

    def logits_and_products(self, x: ArrayLike, vectors: ArrayLike) -> tuple[Array, Array]:
        """The logits (n, outputs), and the products (n, k, inputs) of vectors (n, k, outputs) with the Jacobian.

        Vectors (1, k, outputs) are the same for all.
        """
        torch = import_torch()
        wanted = np.asarray(vectors, self.dtype)
        size = BACKWARD_NUMBERS // (wanted.shape[1] * self.inputs)
        values, products, begin = [], [], 0
        with exactly(torch, self.module, self.inputs):
            for part in self._tensors(x, min(max(size, 1), BACKWARD)):
                chosen = wanted if len(wanted) == 1 else wanted[begin : begin + len(part)]
                one, other = self._backwards(part, torch.tensor(chosen, device=part.device))
                values.append(one.numpy())
                products.append(other.numpy())
                begin += len(part)
        if not values:
            empty = (0, wanted.shape[1], self.inputs)
            return np.zeros((0, self.outputs), self.dtype), np.zeros(empty, self.dtype)
        return np.concatenate(values), np.concatenate(products)

    @cached_property
    def _forwards(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The scores of a tensor of images, on the processor."""
        return self._perhaps_played(lambda inputs: (self._scores(inputs),))

    @cached_property
    def _backwards(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The scores of a tensor of images, and their products with a tensor of vectors, on the processor."""
        return self._perhaps_played(self._pulled_back)

    def _perhaps_played(
        self, run: Callable[..., tuple[torch.Tensor, ...]]
    ) -> Callable[..., tuple[torch.Tensor, ...]]:
        if self.played:
            return Recorder(import_torch(), run)
        return lambda *given: tuple(answer.detach().cpu() for answer in run(*given))

    def _pulled_back(self, inputs: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One run forwards, and one vectorised run backwards for all vectors of all images."""
        torch = import_torch()
        values, pull = torch.func.vjp(self._scores, inputs)
        wanted = vectors.transpose(0, 1).expand(-1, len(inputs), -1)
        if len(wanted) == 1:
            # For one vector each, a run backwards costs less without being vectorised.
            return values, pull(wanted[0])[0].unsqueeze(1)
        with warnings.catch_warnings():
            # Attention has no batched rule for its derivative yet; the loop in its place is right, only slower.
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            (slopes,) = torch.func.vmap(pull)(wanted)
        return values, slopes.transpose(0, 1).contiguous()

    @cached_property
    def quick(self) -> TorchModel:
        """The same model in float32, which searches several times faster; what it finds, this one verifies.

        On an NVIDIA card it is played back (`torch_recording`). Itself, where it is that already or where the
        module answers otherwise, or not at all, in float32.
        """
        torch, played = import_torch(), self._device == "cuda"
        if self.dtype == "float32":
            return replace(self, played=True) if played and not self.played else self
        with torch.inference_mode(False):
            module = copied(torch, self.module, "float32")
        twin = replace(self, module=module, dtype="float32", played=played)
        try:
            given = twin.logits(_noise(self))
        except Exception:  # whatever the user's own code raises
            return self
        return twin if np.allclose(given, self.logits(_noise(self)), rtol=1e-3, atol=1e-3) else self

    @property
    def threaded(self) -> bool:
        """Whether PyTorch's own threads compute: on a processor, not on a graphics card."""
        return self._device == "cpu"

    @property
    def _device(self) -> str:
        return str(device_of(import_torch(), self.module).type)

    def hidden_signals(self, x: ArrayLike) -> dict[str, Array]:
        """The signals (n, ...) of every layer without parts but the last, by its name, for inputs (n, inputs)."""
        torch = import_torch()
        with exactly(torch, self.module, self.inputs), torch.no_grad():
            (part,) = self._tensors(x, len(np.asarray(x)))
            found = all_heard(self.module, lambda: self._answers_of_module(part), len(part))
        return {name: _numpy(signals) for name, signals in found.items()}

    def at(self, name: str) -> TorchLayer:
        """One layer, by its name among the module's `named_modules`, as a model whose answers are its signals.

        `ModelError` lists the names where there is no such layer.
        """
        if name not in self._layers:
            self._layers[name] = TorchLayer.of(self, name)
        return self._layers[name]

    @cached_property
    def _layers(self) -> dict[str, TorchLayer]:
        return {}

    def untrained(self, rng: Seed = None) -> TorchModel:
        """The same layers with first numbers that they draw themselves; what was remembered is left out.

        `ModelError` where a layer with parameters has no ``reset_parameters``, as in what was read from a file.
        """
        from backquery.io.torch_untaught import begun_anew

        module = begun_anew(import_torch(), self.module, self.dtype, seed_of(generator_of(rng)))
        return replace(self, module=module, statistics=None)

    def shuffled(self, rng: Seed = None) -> TorchModel:
        """The same with each layer's weights, each where another was; what was remembered is left out."""
        from backquery.io.torch_untaught import shuffled

        module = shuffled(import_torch(), self.module, self.dtype, generator_of(rng))
        return replace(self, module=module, statistics=None)

    def prover(self, dtype: DTypeLike) -> Prover:
        """The model made ready to be bounded, for a program of this dtype; `ProofError` says why it cannot be."""
        from backquery.io.torch_bounds import TorchProver

        return TorchProver(self, dtype)

    def _tensors(self, x: ArrayLike, size: int) -> Iterator[torch.Tensor]:
        torch = import_torch()
        rows = checked_inputs(x, self.input_shape, self.dtype)
        device = device_of(torch, self.module)
        for begin in range(0, len(rows), size):
            yield torch.tensor(rows[begin : begin + size], device=device)

    def _scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (n, outputs) of inputs (n, inputs)."""
        return self._logits_of(self._answers_of_module(inputs), self.bare)

    def _logits_of(self, scores: torch.Tensor, bare: bool) -> torch.Tensor:
        """Logits (n, outputs) of what a module gives, as outputs or `bare` of its last layer."""
        if self.given != "logits" and not bare:
            scores = self._logarithms(scores)
        if scores.shape[1] == 1:
            scores = import_torch().cat([-scores / 2, scores / 2], dim=1)
        return scores if self.given == "sigmoids" else scores - scores.mean(dim=1, keepdim=True)

    def _logarithms(self, scores: torch.Tensor) -> torch.Tensor:
        """Outputs between 0 and 1 as log-odds, or as logarithms where they are shares of 1."""
        numbers = import_torch().finfo(scores.dtype)
        # A probability may have underflowed to 0, whose logarithm nothing could centre.
        logarithms = scores.clamp_min(numbers.tiny).log()
        if self.given == "probabilities" and scores.shape[1] > 1:
            return logarithms
        return logarithms - (1 - scores).clamp_min(numbers.eps / 2).log()

    def _answers_of_module(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the module says, (n, outputs), where it drops axes of length one as well."""
        # A clone, because a first module that works in place must not overwrite what is differentiated.
        images = inputs.reshape(-1, *self.module_shape).clone()
        answers = the_scores(import_torch(), self.module(images)).to(inputs.dtype)
        return answers.reshape(len(inputs), -1) if answers.ndim < 2 else answers


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchLayer(TorchModel):
    """What `TorchModel.at` gives: the same module, run as far as one layer, whose output it answers.

    Logits and answers are both the signals, flat (n, outputs), as the layer gives them: a ReLU's after, a
    convolution's before what follows. shape: the layer's output for one image, such as (channels, rows, columns);
    runs: how often the module calls the layer for one image, of which the last counts.
    """

    layer: str
    shape: tuple[int, ...]
    runs: int

    @classmethod
    def of(cls, model: TorchModel, name: str) -> TorchLayer:
        """The layer of this name, which two images are run through."""
        images = next(model._tensors(probes(model)[:2], 2))
        torch = import_torch()
        with exactly(torch, model.module, model.inputs), torch.no_grad():
            shape, runs = in_trial(model.module, name, lambda: model._answers_of_module(images), len(images))
        own = {field.name: getattr(model, field.name) for field in fields(TorchModel)}
        own["classes"] = tuple(map(str, range(prod(shape))))
        own["statistics"] = model.statistics and replace(model.statistics, typical=None)
        return cls(**own, layer=name, shape=shape, runs=runs)

    @property
    def output_activation(self) -> Activation:
        """Signals are answers as they are."""
        return IDENTITY

    def signals(self, x: ArrayLike) -> Array:
        """The layer's output (n, *shape) for inputs (n, inputs)."""
        return self.logits(x).reshape(-1, *self.shape)

    def _scores(self, inputs: torch.Tensor) -> torch.Tensor:
        given = heard(self.module, self.layer, lambda: self._answers_of_module(inputs), self.runs)
        return given[-1].to(inputs.dtype).reshape(len(inputs), -1)


def _outputs_in_trial(model: TorchModel) -> int:
    """How many labels the module answers about, after everything that can be checked has been."""
    noise = _noise(model)
    together = _said(model, noise)
    finite = bool(np.all(np.isfinite(together)))
    if together.ndim != 2 or len(together) != len(noise) or not finite:
        raise ModelError(
            f"the module must give finite scores of shape (n, outputs) for n images; for {len(noise)} it gave "
            f"{together.shape}" + ("" if finite else ", not all finite")
        )
    try:
        alone = np.concatenate([_said(model, image[None]) for image in noise])
    except ModelError as error:
        raise ModelError(
            f"the module answers about two images together, but not about one alone; look for batch norm without "
            f"running statistics, whose answers depend on the other images: {first_line(error.__cause__ or error)}"
        ) from error
    if alone.shape != together.shape or np.abs(alone - together).max() > 1e-4 * (np.abs(together).max() + 1):
        raise ModelError(
            "the module does not answer about each image alone: two runs, of two images together and one by one, "
            "disagree. Look for noise or dropout that ignores eval(), or batch norm without running statistics"
        )
    return max(int(together.shape[1]), 2)


def _noise(model: TorchModel) -> Array:
    """Two images of noise between paper and ink."""
    low, high = ends_of(model)
    drawn: Array = np.random.default_rng(0).uniform(0, 1, (2, model.inputs))
    return drawn * (high - low) + low


def _seen(model: TorchModel) -> Array:
    """Finite outputs (n, k) for trial images and, where these lie within -1 and 1, for others far outside."""
    seen: Array = np.concatenate([_said(model, _noise(model)), _said(model, probes(model))])
    finite = np.asarray(np.isfinite(seen).all(axis=1))
    if not finite.all():
        assume(
            f"the module's answers to {np.sum(~finite)} of {len(finite)} trial images, blank paper among them or "
            "faint noise, are not finite: such images are left unread, and count as wrong"
        )
    seen = seen[finite]
    if within_ones(seen):
        try:
            far = _said(model, far_probes(model))
        except ModelError:  # a module may refuse what is no image
            return seen
        return np.concatenate([seen, far[np.isfinite(far).all(axis=1)]])
    return seen


def _before_its_last(torch: Any, model: TorchModel) -> TorchModel:
    """The model without a last Softmax or Sigmoid, so that logits stay exact however sure the answers are."""
    kind = "Softmax" if model.given == "probabilities" and _said(model, _noise(model)).shape[1] > 1 else "Sigmoid"
    rest = None if model.given == "logits" else _without_last(torch, model.module, getattr(torch.nn, kind))
    if rest is None:
        return model
    shorter = replace(model, module=rest, bare=True)
    questions = _noise(model)
    same = np.allclose(shorter.query(questions), model.query(questions), rtol=0, atol=1e-6)
    return shorter if same else model


def _without_last(torch: Any, module: torch.nn.Module, kind: type[Any]) -> torch.nn.Module | None:
    """A Sequential that ends in a layer of this kind, without it; None where that is not certain."""
    if type(module) is not torch.nn.Sequential or not len(module) or module._forward_hooks:
        return None
    before = OrderedDict(module._modules)  # with their names, by which layers are found
    name, last = before.popitem()
    if type(last) is kind and not last._forward_hooks and not last._forward_pre_hooks:
        return torch.nn.Sequential(before).eval()
    rest = _without_last(torch, last, kind)
    return None if rest is None else torch.nn.Sequential(OrderedDict(before, **{name: rest})).eval()


def _compare(torch: Any, model: TorchModel, original: torch.nn.Module) -> None:
    """Refuse a copy that does not answer as the user's own module does."""
    questions = probes(model)
    own = own_dtype(torch, original)
    scores = torch.tensor(asked(torch, original, questions, model.module_shape))
    with np.errstate(all="ignore"):
        expected = model.output_activation.function(_numpy(model._logits_of(scores, bare=False)))
        logits = model.logits(questions)
        answers = model.output_activation.function(logits)
    try:
        agree(answers, expected, "the module", allowed(logits, precision(own), model.dtype))
    except ModelError as error:
        advice = ". Try dtype='float32'" if model.dtype == "float64" else ""
        raise ModelError(f"{error}{peculiarities(torch, original)}{advice}") from None


def _check_slopes(model: TorchModel) -> None:
    """Refuse a module that cannot be differentiated, or hides what its answers come from."""
    try:
        # One sum of all outputs, as a model of many would take long over each.
        weights = np.random.default_rng(0).normal(size=(1, 1, model.outputs))
        values, slopes = model.logits_and_products(_noise(model), weights)
    except Exception as error:
        raise ModelError(f"the module cannot be differentiated with torch.func: {first_line(error)}") from error
    differ = np.abs(values[0] - values[1]).max() > 1e-9
    if not np.all(np.isfinite(slopes)) or (differ and not slopes.any()):
        raise ModelError(
            "the module's answers change with the image, but their derivatives are zero or not finite; look for "
            "detach(), no_grad() or rounding in its forward pass"
        )


def _said(model: TorchModel, inputs: Array) -> Array:
    torch = import_torch()
    try:
        with exactly(torch, model.module, model.inputs), torch.no_grad():
            (part,) = model._tensors(inputs, len(inputs))
            answers = model._answers_of_module(part)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"the module does not run on images of shape {(len(inputs), *model.module_shape)} in {model.dtype}: "
            f"{first_line(error)}. Give module_shape=, such as ({model.inputs},) or (1, height, width), or "
            "dtype='float32', or a module that takes any number of images at once"
        ) from error
    return _numpy(answers)


def _numpy(tensor: torch.Tensor) -> Array:
    values: Array = tensor.detach().cpu().numpy()
    return values
