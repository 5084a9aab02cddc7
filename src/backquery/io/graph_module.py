"""A PyTorch module that walks a graph of operations read from a file: what ONNX and Keras models become.

Nothing of the file is run: each operation is a function of this package, chosen by its name from a table, with
the file's numbers. Each is a submodule of its own, called as it is in the file. Imported only where PyTorch is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from backquery.errors import ModelError
from backquery.io.torch import TorchModel, from_torch
from backquery.model import Shape

Function = Callable[..., Any]


ENDS = {"Softmax": "probabilities", "Sigmoid": "sigmoids"}
"""What a last operation makes of scores, as `from_torch` calls it."""


class Operation(torch.nn.Module):  # type: ignore[misc]
    """One operation: signals by their names, constants by their values, None for what is left out.

    function: what it does with all of them, in their order. gives: the names of what comes out. what: how an
    error speaks of it.
    """

    def __init__(
        self, function: Function, given: Sequence[str | Tensor | None], gives: Sequence[str], what: str
    ) -> None:
        super().__init__()
        self.function, self.gives, self.what = function, tuple(gives), what
        self.signals = tuple(name for name in given if isinstance(name, str))
        self._comes_in = tuple(isinstance(part, str) for part in given)
        self._whole: list[Tensor | None] = []
        for place, part in enumerate(given):
            fractions = isinstance(part, Tensor) and part.is_floating_point()
            self.register_buffer(f"number_{place}", part if fractions else None)
            # Whole numbers are places, lengths and axes: they stay as they are, and on the CPU.
            self._whole.append(None if isinstance(part, str) or fractions else part)

    def forward(self, *signals: Tensor) -> Any:
        """What comes out, one tensor or several, of the signals alone."""
        coming = iter(signals)
        parts = [next(coming) if comes else self._constant(place) for place, comes in enumerate(self._comes_in)]
        try:
            return self.function(*parts)
        except (ModelError, RuntimeError, ValueError, TypeError, IndexError) as error:
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"it stopped at {self.what}: {told[0]}") from error

    def _constant(self, place: int) -> Tensor | None:
        fractions: Tensor | None = self._buffers[f"number_{place}"]
        return self._whole[place] if fractions is None else fractions


class Choice(torch.nn.Module):  # type: ignore[misc]
    """One of two branches, by a condition that follows from shapes alone."""

    def __init__(
        self, condition: str, branches: tuple[Walk, Walk], gives: Sequence[str], outside: Iterable[str]
    ) -> None:
        super().__init__()
        self.yes, self.no = branches
        self.signals, self.gives = (condition, *outside), tuple(gives)

    def forward(self, condition: Tensor, *outside: Tensor) -> Any:
        """What the branch gives that the condition chooses."""
        known = dict(zip(self.signals[1:], outside, strict=True))
        found = (self.yes if bool(condition) else self.no).walk(known)
        return found if len(found) > 1 else found[0]


class Walk(torch.nn.Module):  # type: ignore[misc]
    """Operations one after the other; what is no longer needed is let go."""

    def __init__(self, operations: dict[str, Operation | Choice], outputs: Sequence[str]) -> None:
        super().__init__()
        self._outputs = tuple(outputs)
        last: dict[str, str] = {}
        for name, operation in operations.items():
            place = self._place(name)
            self.add_module(place, operation)
            last |= dict.fromkeys(operation.signals, place)
        self._done: dict[str, list[str]] = {}
        for signal, place in last.items():
            if signal not in self._outputs:
                self._done.setdefault(place, []).append(signal)

    def _place(self, name: str) -> str:
        """A name for a part of a module, which holds no dots and is nothing that a module has."""
        place = name.replace(".", "_") or "operation"
        while hasattr(self, place):
            place += "_"
        return place

    def walk(self, known: dict[str, Tensor]) -> list[Tensor]:
        """The outputs, of signals by their names."""
        for name, operation in self.named_children():
            given = operation(*(known[signal] for signal in operation.signals))
            several = given if isinstance(given, tuple | list) else (given,)
            known.update(zip(operation.gives, several, strict=False))
            for signal in self._done.get(name, ()):
                known.pop(signal, None)
        return [known[name] for name in self._outputs]


class GraphModule(torch.nn.Module):  # type: ignore[misc]
    """A whole graph from one input to one output; `batch` images at once, where it takes only so many."""

    def __init__(self, walk: Walk, signal: str, batch: int | None = None) -> None:
        super().__init__()
        self.steps, self._signal, self._batch = walk, signal, batch

    def forward(self, images: Tensor) -> Tensor:
        """Scores (n, outputs) for images (n, ...)."""
        if self._batch is None:
            answers = self.steps.walk({self._signal: images})[0]
        else:
            answers = torch.vmap(self._alone)(images)
        if sum(length > 1 for length in answers.shape[1:]) > 1:
            raise ModelError(
                f"it answers each image with numbers of shape {tuple(answers.shape[1:])}, not "
                "with one for each label"
            )
        return answers.reshape(len(images), -1)

    def _alone(self, image: Tensor) -> Tensor:
        repeated = image.expand(self._batch or 1, *image.shape)
        return self.steps.walk({self._signal: repeated})[0][0]


def as_model(
    module: GraphModule, ending: str | None, shape: Shape, description: Mapping[str, Any], outputs: str | None
) -> TorchModel:
    """The module as a model that is asked backwards, compared with itself before (see `from_torch`).

    ending: the Softmax or Sigmoid that the graph ended with and the module leaves out; shape: one image as the
    graph takes it; description: input_shape and, where they are known, classes and scaling; outputs: what the
    user says that the outputs are.
    """
    return from_torch(
        _ended(module, ending),
        input_shape=description["input_shape"],
        module_shape=shape,
        outputs=outputs or ENDS.get(ending or ""),  # type: ignore[arg-type]
        classes=description.get("classes", ()),
        scaling=description.get("scaling"),
    )


def _ended(module: GraphModule, ending: str | None) -> torch.nn.Module:
    """The module, and behind it the Softmax or Sigmoid of PyTorch that it ended with."""
    if ending is None:
        return module
    return torch.nn.Sequential(module, torch.nn.Softmax(dim=1) if ending == "Softmax" else torch.nn.Sigmoid())
