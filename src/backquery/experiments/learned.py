"""A network trained, that remembers what its training images were like: what it is to be asked backwards."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from backquery import training
from backquery.errors import TrainingError
from backquery.inversion.fitting import fit_statistics, moments_of
from backquery.model import Data, Network, Progress, Seed
from backquery.model.declared import declared
from backquery.training import Checkpoint, History
from backquery.training.loop import Callback
from backquery.training.recipes import Recipe


@declared(TrainingError)
def train(
    network: Network,
    data: Data,
    recipe: Recipe | None = None,
    *,
    epochs: int = 5,
    test: Data | None = None,
    statistics: bool | None = None,
    callbacks: Iterable[Callback] = (),
    rng: Seed = None,
    kernel: str = "auto",
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> tuple[Network, History]:
    """Train a copy of `network` on images; returns it, with its `statistics`, and its history.

    The statistics are the images' mean and covariance and the network's usual answers, by which faithful back
    queries know what images are like. They are fitted meanwhile, by default where `data` are raw images, not
    inputs that are scaled already. They say something about the images: with ``statistics=False`` nothing of them
    is remembered, nor written by `save_model`.

    All else is as in `backquery.training.train`, which this calls; so is `TrainingError`, for what does not fit.
    """
    remembered = not isinstance(data, tuple) if statistics is None else statistics
    with ThreadPoolExecutor(1) as beside:
        # They depend on the images alone, and are ready when the training is.
        moments = beside.submit(moments_of, network, data) if remembered else None
        trained, history = training.train(
            network, data, recipe, epochs=epochs, test=test, callbacks=callbacks, rng=rng, kernel=kernel,
            progress=progress, checkpoint=checkpoint, resume=resume,
        )  # fmt: skip
    if moments is not None:
        trained = replace(trained, statistics=fit_statistics(trained, data, moments=moments.result()))
    return trained, history
