"""Judges: classifiers of other families that say what they read in an image. They never see a scan in training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import Dataset, Split
from backquery.errors import BackqueryError, MissingExtraError
from backquery.faithfulness.real import NEIGHBOURS, RealImages
from backquery.files import replacing, user_cache
from backquery.model import (
    Array,
    Labels,
    Layout,
    Model,
    Network,
    Progress,
    Scaling,
    Seed,
    evaluate,
    labels_read,
    seed_of,
    strongest_labels,
)
from backquery.model.threads import sized
from backquery.training import Online, train

AT_ONCE = 50
"""Images that the convolutional judge reads at a time."""

MOST_TRIED = 10_000
"""Real test images that the convolutional judge is tried on at most."""


GUESSED = 0.001
"""A judge whose right answers chance gives in more cases than this is not certain to do more than guess."""


def luck(agreed: int, images: int, chance: float) -> float:
    """How probable it is to agree with so many of the images, or more, by chance alone: the binomial tail."""
    from scipy.special import bdtrc  # SciPy's statistics would take a second to load

    return float(bdtrc(agreed - 1, images, chance))


@dataclass(frozen=True)
class Judge:
    """`ask` reads ink (n, inputs) between 0 and 1, in the order of the data's images, and names labels (n,).

    performance: the share of real test images that it reads rightly, where it was tried on any; images: how many
    those were.
    """

    name: str
    ask: Callable[[Array], Labels]
    performance: float | None = None
    images: int | None = None

    @classmethod
    def tried(cls, name: str, ask: Callable[[Array], Labels], read: Labels, truth: Labels) -> Judge:
        """A judge that read these labels (n,) in real test images, of which `truth` (n,) is right."""
        return cls(name, ask, float(np.mean(read == truth)), len(truth))

    def worth(self, chance: float) -> float:
        """How far its performance is above chance; 0 where that is not certain, or where it was never tried."""
        if self.performance is None:
            return 0.0
        guessed = self.images and luck(round(self.performance * self.images), self.images, chance) > GUESSED
        return 0.0 if guessed else max(self.performance - chance, 0.0)

    def worthless(self, chance: float) -> bool:
        """Whether it was tried and found no better than chance."""
        return self.performance is not None and not self.worth(chance)

    def trusted(self, chance: float) -> str:
        """How far to trust it: ``97.3% right``, ``11.0% right: no better than chance`` or ``never tried``."""
        if self.performance is None:
            return "never tried"
        return f"{self.performance:.1%} right{': no better than chance' if self.worthless(chance) else ''}"


def neighbour_judge(real: RealImages, test: Split | None = None, maximum: float | None = None) -> Judge:
    """The vote of the five nearest training images (Cover & Hart 1967); a tie goes to the nearer ones.

    It is tried on the first thousand images of `test`; `maximum` is the raw pixel of full ink there, by default as
    in training.
    """

    def vote(positions: Labels) -> Labels:
        votes = real.labels[positions]
        # Counting nearer neighbours a trifle more settles ties and nothing else.
        weights = 1 + 1e-3 * np.arange(votes.shape[1], 0, -1)
        counts = np.zeros((len(votes), int(real.labels.max()) + 1))
        np.add.at(counts, (np.arange(len(votes))[:, None], votes), weights)
        return np.asarray(counts.argmax(axis=1), np.int64)

    def ask(ink: Array) -> Labels:
        return vote(real.neighbours(ink, NEIGHBOURS)[1])

    if test is None:
        return Judge("neighbours", ask)
    _, positions = real.held_out(test, maximum)
    return Judge.tried("neighbours", ask, vote(positions), test.labels[: len(positions)])


def linear_judge(dataset: Dataset, *, rng: Seed = 0) -> Judge:
    """A linear classifier: one softmax layer, trained by cross-entropy (logistic regression, Cox 1958)."""
    network = Network.create(
        [dataset.inputs, len(dataset.classes)],
        activation=["softmax"],
        biases=True,
        rng=rng,
        scaling=Scaling.unit(dataset.maximum),
    )
    epochs = max(3, -(-60_000 // len(dataset.train)))
    recipe = Online(0.01, "cross-entropy", shuffle=True, decay="linear")
    trained, _ = train(network, dataset.train, recipe, epochs=epochs, rng=rng)
    return model_judge("linear", trained, dataset.test)


def model_judge(name: str, model: Model, test: Split | None = None) -> Judge:
    """Any other model as a judge; it needs a scaling, by which ink becomes its inputs (else `BackqueryError`)."""
    scaling = model.scaling
    if scaling is None:
        raise BackqueryError(f"the model cannot judge images ({name}): it has no scaling; give it one")

    def ask(ink: Array) -> Labels:
        pictures = (ink * scaling.maximum).reshape(len(ink), *Layout.of(model.input_shape).drawn_shape)
        inputs = model.scale(pictures)
        return labels_read(model, inputs)

    if test is None:
        return Judge(name, ask)
    found = evaluate(model, test)
    return Judge(name, ask, found.performance, found.images)


def convolutional_judge(
    dataset: Dataset, *, epochs: int = 2, rng: Seed = 0, progress: Progress | None = None
) -> Judge:
    """A small convolutional network, by PyTorch (extra `torch`).

    Two layers of 3 x 3 filters (16 and 32), each halved by its maxima, and 64 hidden nodes; Adam, batches of 128.
    Trained once for each training set: the weights are kept in the user's cache.
    """
    epochs = max(epochs, -(-30_000 // len(dataset.train)))
    module = taught(
        lambda torch: _convolutional_module(torch, dataset.input_shape, len(dataset.classes)),
        dataset,
        "16-32-64",
        epochs=epochs,
        rng=seed_of(rng),
        progress=progress,
    )
    import torch

    # With the channels last, and so few at a time that the cache holds them, reading takes a quarter of the time.
    module.to(memory_format=torch.channels_last)

    def ask(ink: Array) -> Labels:
        pictures = _pictures(torch, np.asarray(ink, np.float32).reshape(-1, *dataset.input_shape))
        parts = pictures.to(memory_format=torch.channels_last).split(AT_ONCE)
        with torch.inference_mode(), sized(torch):
            return np.concatenate([strongest_labels(module(part).numpy()) for part in parts])

    if dataset.test is None:
        return Judge("convolutional", ask)
    tried = dataset.test.select(slice(MOST_TRIED))
    ink = tried.images.reshape(len(tried), -1).astype(np.float32) / np.float32(dataset.maximum)
    return Judge.tried("convolutional", ask, ask(ink), tried.labels)


def taught(
    make: Callable[[Any], Any],
    dataset: Dataset,
    layout: str,
    *,
    epochs: int,
    rng: int = 0,
    progress: Progress | None = None,
) -> Any:
    """What `make` makes of PyTorch, taught the training images (n, channels, height, width), ready to be asked.

    Adam on the cross-entropy, batches of 128, the rate rising and falling once (Smith & Topin 2017). The weights
    are kept in the user's cache, under a name that says the images, the labels, the `layout`, epochs and seed.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError("the convolutional judge", "PyTorch", "torch") from None
    with torch.random.fork_rng(devices=[]), sized(torch):
        torch.manual_seed(rng)
        module = make(torch)
        kept_or_taught(
            torch, module, fingerprint(dataset, layout, epochs, rng),
            lambda: _teach(torch, module, dataset, epochs, progress),
        )  # fmt: skip
    return module.eval()


def kept_or_taught(torch: Any, module: Any, name: str, teach: Callable[[], None]) -> None:
    """Give a module the weights that the user's cache holds under `name`, or `teach` it, and keep them there."""
    if not _remembered(torch, module, name):
        teach()
        keep_made(name, {key: values.numpy() for key, values in module.state_dict().items()})


def _pictures(torch: Any, images: NDArray[np.float32]) -> Any:
    """Images (n, height, width), or (n, height, width, 3) in colour, as a tensor (n, channels, height, width)."""
    pictures = torch.from_numpy(images)
    return pictures.unsqueeze(1) if images.ndim == 3 else pictures.movedim(-1, 1)


def _convolutional_module(torch: Any, shape: tuple[int, ...], outputs: int) -> Any:
    nn, (height, width, channels) = torch.nn, (*shape, 1)[:3]
    features = nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        inner = prod(features(torch.zeros(1, channels, height, width)).shape)
    return nn.Sequential(features, nn.Linear(inner, 64), nn.ReLU(), nn.Linear(64, outputs))


def _teach(torch: Any, module: Any, dataset: Dataset, epochs: int, progress: Progress | None) -> None:
    pictures = _pictures(torch, np.array(dataset.train.images, np.float32))
    pictures /= dataset.maximum
    labels = torch.from_numpy(np.array(dataset.train.labels))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.002)
    batches = -(-len(labels) // 128) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, total_steps=batches)
    loss = torch.nn.CrossEntropyLoss()
    done = 0
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(128):
            optimizer.zero_grad()
            loss(module(pictures[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
            done += len(batch)
            if progress is not None:
                progress(done, epochs * len(labels))


def fingerprint(dataset: Dataset, layout: str, epochs: int, rng: int) -> str:
    """The name of weights that depend on training images, labels, a module's `layout`, epochs and seed."""
    content = hashlib.sha256(dataset.train.images.tobytes())
    content.update(dataset.train.labels.tobytes())
    # The layout is a part of the name: a module of another make must not find these weights.
    content.update(f"{layout} {epochs} {rng} {dataset.maximum} {len(dataset.classes)}".encode())
    return f"judge-{content.hexdigest()[:32]}.safetensors"


def _remembered(torch: Any, module: Any, name: str) -> bool:
    """Fill the module from the cache; False where there is nothing that fits."""
    try:
        module.load_state_dict({key: torch.from_numpy(values) for key, values in made_before(name).items()})
    except Exception:  # weights of another make are no reason to fail: the judge is trained again
        return False
    return True


def made_before(name: str) -> dict[str, NDArray[Any]]:
    """The arrays that the user's cache holds under this name; none where nothing sound is there."""
    from safetensors.numpy import load_file

    cache = user_cache()
    if cache is None or not (path := cache / name).is_file():
        return {}
    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except Exception:  # a file cut short is no reason to fail: what it held is made again
        return {}
    return arrays


def keep_made(name: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Keep arrays in the user's cache under a name that says all that they depend on."""
    from safetensors.numpy import save

    cache = user_cache()
    if cache is None:
        return
    # A cache that cannot be written costs time, not the answer.
    with suppress(OSError, BackqueryError):
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(cache / name) as stream:
            # Arrays that do not lie row by row would be written in the wrong order.
            stream.write(save({key: np.array(values, order="C") for key, values in arrays.items()}))
