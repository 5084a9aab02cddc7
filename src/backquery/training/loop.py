"""The training loop: go on, tell who wants to know, keep checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from backquery.errors import TrainingError
from backquery.model import Data, Network, Progress, Seed
from backquery.model.declared import declared
from backquery.training.checkpoint import Checkpoint, resume_run
from backquery.training.history import History, Moment
from backquery.training.recipes import Recipe
from backquery.training.run import TrainingRun

Callback = Callable[[Moment], bool | None]


@declared(TrainingError)
def train(
    network: Network,
    data: Data,
    recipe: Recipe | None = None,
    *,
    epochs: int = 5,
    test: Data | None = None,
    callbacks: Iterable[Callback] = (),
    rng: Seed = None,
    kernel: str = "auto",
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> tuple[Network, History]:
    """Train a copy of `network`; returns the trained network and its history, and leaves `network` as it is.

    data, test: raw images with labels (a data set's `Split`), scaled by the network's scaling, or a pair
    (inputs (n, inputs) in input scale, labels (n,)). recipe: `Online` (by default, the book's), `MiniBatch` or
    `FullBatch`, whose epoch is one iteration. A callback sees each epoch as a `Moment` and may end the training by
    returning True. `rng` decides the order of shuffled recipes. `kernel` forces ``"sparse"``, ``"dense"`` or
    ``"numpy"`` for `Online`. `progress` is told (images done, images in all).

    `checkpoint` says where to keep what a killed training needs to go on, and how often; `resume` is such a
    file. With it the training goes on where the file was written, with the file's weights and random numbers,
    and ends in the same bytes as if nothing had happened, on the same machine with the same versions. Callbacks
    see the epochs that are left, the history holds all. The other arguments must be what they were; `rng` may
    be left out.

    Raises `DataError` for data that do not fit, `TrainingError` for settings or a checkpoint that do not, and
    `DivergenceError` when a signal leaves the finite numbers.
    """
    run = TrainingRun(network, data, recipe, epochs=epochs, test=test, rng=rng, kernel=kernel)
    if resume is not None:
        resume_run(run, resume)
    callbacks = tuple(callbacks)
    while not run.ended:
        before = run.done
        run.advance()
        if progress is not None:
            progress(run.images, epochs * len(run.examples))
        if run.between_epochs:
            moment = Moment(run.end_epoch(), run.snapshot)
            # Not any(), which would keep the epoch from the callbacks after the first that ends the training.
            if sum(bool(callback(moment)) for callback in callbacks):
                break
        # After the epoch was closed, so that the checkpoint holds its record.
        if checkpoint is not None:
            checkpoint.keep(run, before)
    return run.snapshot(), History(run.kernel, tuple(run.records), stopped=not run.ended)
