"""What a graphics card is asked again and again, recorded once and played back (CUDA graphs).

A card is done with one image sooner than Python has told it what to do. A recording tells everything at once. But
what a module decides in Python is decided once for all in it, so only what is verified otherwise may be searched
with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

RECURRING = 3
"""Shapes that are asked for the so-many-th time are recorded: that takes as long as a few runs."""

KEPT = 12
"""Recordings that are kept of a module at most, each with its own inputs and answers."""

WARMING = 3
"""Runs before a recording, in which libraries choose their algorithms and take their memory."""

AGREEING = 1e-3
"""How far, in parts of the largest answer, a recording may be from the function itself."""

Tensors = tuple["torch.Tensor", ...]


class Recorder:
    """A function of tensors on a graphics card, recorded for each shape of them that recurs.

    Where the function cannot be recorded, or answers otherwise when played back, it is run as ever.
    """

    def __init__(self, torch: Any, function: Callable[..., Tensors]) -> None:
        self._torch, self._function = torch, function
        self._asked: Counter[tuple[Any, ...]] = Counter()
        self._recordings: dict[tuple[Any, ...], _Recording] = {}
        self._able, self._lock, self._pool = True, Lock(), torch.cuda.graph_pool_handle()

    def __call__(self, *given: torch.Tensor) -> Tensors:
        """The function's answers, on the processor."""
        shapes = tuple(tensor.shape for tensor in given)
        # The tensors of a recording are its own: two threads at a time would mix their images.
        with self._lock:
            self._asked[shapes] += 1
            recording = self._recordings.get(shapes)
            if recording is None and self._able and self._asked[shapes] >= RECURRING:
                recording = self._record(given, shapes)
            if recording is not None:
                return recording.played(given)
        return tuple(answer.cpu() for answer in self._function(*given))

    def _record(self, given: Tensors, shapes: tuple[Any, ...]) -> _Recording | None:
        try:
            recording = _Recording(self._torch, self._function, given, self._pool)
            self._able = recording.agrees(self._function, given)
        except RuntimeError:  # what waits for the card in the midst, as .item() does, cannot be recorded
            self._able = False
        if not self._able:
            self._recordings.clear()
            return None
        if len(self._recordings) == KEPT:
            del self._recordings[next(iter(self._recordings))]
        self._recordings[shapes] = recording
        return recording


class _Recording:
    """One recorded run: the tensors that it reads, and those that it writes."""

    def __init__(self, torch: Any, function: Callable[..., Tensors], given: Tensors, pool: Any) -> None:
        self._given = tuple(tensor.clone() for tensor in given)
        aside = torch.cuda.Stream(given[0].device)
        aside.wait_stream(torch.cuda.current_stream(given[0].device))
        with torch.cuda.stream(aside):
            for _ in range(WARMING):
                function(*self._given)
        aside.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Answers are read before anything else is played, so all recordings can share what memory they work in.
        with torch.cuda.graph(self._graph, pool=pool, stream=aside):
            self._answers = function(*self._given)

    def played(self, given: Tensors) -> Tensors:
        """The answers, on the processor, to these tensors."""
        for kept, tensor in zip(self._given, given, strict=True):
            kept.copy_(tensor)
        self._graph.replay()
        return tuple(answer.cpu() for answer in self._answers)

    def agrees(self, function: Callable[..., Tensors], given: Tensors) -> bool:
        """Whether it says what the function says, to what it was made with and to the negative of that."""
        for asked in (given, tuple(-tensor for tensor in given)):
            pairs = zip(self.played(asked), function(*asked), strict=True)
            for played, expected in pairs:
                expected = expected.cpu()
                if not (played - expected).abs().max() <= AGREEING * (1 + expected.abs().max()):
                    return False
        return True
