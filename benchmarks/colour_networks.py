"""Networks that read pictures in colour, taught by what is shown, or by what is shown at its worst.

The second is adversarial training (Madry et al. 2018), one step of projected ascent from a random start for each
image, as Wong, Rice & Kolter (2020) found to be enough. What is taught is kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery.datasets import Dataset, Split
from backquery.faithfulness import Judge, RealImages, linear_judge, neighbour_judge
from backquery.faithfulness.judges import AT_ONCE, MOST_TRIED, fingerprint, kept_or_taught
from backquery.model import Array, Labels
from benchmarks.deep import residual_block, settle, three_convolutions

BATCH = 128

Make = Callable[[Any, int, int], Any]
"""A module of PyTorch, of so many labels, for images of that side."""


@dataclass(frozen=True)
class Attack:
    """Each image is moved by so much in all (Euclidean, of pixels from 0 to 1) to where it is read worst."""

    reach: float = 1.0
    steps: int = 1

    def moved(self, torch: Any, module: Any, images: Any, labels: Any) -> Any:
        """The images (n, 3, side, side) at their worst, still between 0 and 1."""
        away = self._within(torch.randn_like(images), always=True) * torch.rand(len(images), 1, 1, 1)
        for _ in range(self.steps):
            seen = (images + away).clamp(0, 1).requires_grad_()
            loss = torch.nn.functional.cross_entropy(module(seen), labels, reduction="sum")
            (slope,) = torch.autograd.grad(loss, seen)
            step = self._within(slope, always=True) * (1.5 / self.steps)
            away = self._within(seen.detach() + step - images)
        return (images + away).clamp(0, 1)

    def _within(self, away: Any, always: bool = False) -> Any:
        """Not farther than the reach, or just as far."""
        size = away.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
        return away * (self.reach / size if always else (self.reach / size).clamp_max(1))


WORST = Attack(steps=10)
"""How networks are tried, more thoroughly than they are taught."""


def plain(torch: Any, labels: int, side: int) -> Any:
    """Three convolutions with batch normalisation."""
    return three_convolutions(torch, labels, side)


def residual(torch: Any, labels: int, side: int) -> Any:
    """Three residual blocks of 16, 32 and 64 channels behind one strided convolution, and the mean over places."""
    del side
    nn = torch.nn
    blocks = [residual_block(torch, inward, outward, outward // inward) for inward, outward in _WIDTHS]
    first = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    return nn.Sequential(*first, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, labels))


_WIDTHS = ((16, 16), (16, 32), (32, 64))


def judging(torch: Any, labels: int, side: int) -> Any:
    """What the convolutional judge of grey images is, for three channels."""
    nn = torch.nn
    features = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(features, nn.Linear(32 * (side // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, labels))


def taught(make: Make, dataset: Dataset, epochs: int, *, rng: int = 1, attack: Attack | None = None) -> Any:
    """What `make` makes, taught the images (n, rows, columns, 3): Adam, a rate that rises and falls once."""
    import torch

    module = fresh(make, dataset, rng)
    name = fingerprint(dataset, f"colour {make.__name__} {attack}", epochs, rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng)
        kept_or_taught(torch, module, name, lambda: _teach(torch, module, dataset, epochs, attack))
    return module.eval().requires_grad_(False)


def fresh(make: Make, dataset: Dataset, rng: int = 1) -> Any:
    """What `make` makes, which has learned nothing."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng)
        return make(torch, len(dataset.classes), dataset.train.images.shape[1]).eval()


def untrained(make: Make, dataset: Dataset, count: int = 256) -> Any:
    """What `make` makes, which has learned nothing; its normalisation and last layer fit the images."""
    import torch

    module = fresh(make, dataset)
    return settle(torch, module, as_tensor(torch, dataset.train.images[:count], dataset.maximum))


def right_at_its_worst(module: Any, test: Split, maximum: float) -> float:
    """The share of images that are read rightly when each is moved to where it is read worst."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        labels = torch.from_numpy(np.array(test.labels))
        images = as_tensor(torch, test.images, maximum)
        parts = zip(images.split(BATCH), labels.split(BATCH), strict=True)
        read = [module(WORST.moved(torch, module, part, true)).argmax(dim=1) for part, true in parts]
    return float((torch.cat(read) == labels).float().mean())


def _teach(torch: Any, module: Any, dataset: Dataset, epochs: int, attack: Attack | None) -> None:
    images = as_tensor(torch, dataset.train.images, dataset.maximum)
    labels = torch.from_numpy(np.array(dataset.train.labels))
    module.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=0.01)
    total = epochs * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.008, total_steps=total)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(BATCH):
            shown = images[batch]
            if attack is not None:
                shown = attack.moved(torch, module, shown, labels[batch])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(shown), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    module.to(memory_format=torch.contiguous_format)


def as_tensor(torch: Any, images: Any, maximum: float) -> Any:
    """Images (n, rows, columns, 3) as PyTorch takes them, from 0 to 1."""
    pixels = torch.from_numpy(np.asarray(images, np.float32) / np.float32(maximum))
    return pixels.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def colour_judges(dataset: Dataset, epochs: int) -> Sequence[Judge]:
    """Neighbours, a linear classifier and a convolutional network; they read ink laid out as the images are."""
    real = RealImages(dataset.train.images, dataset.train.labels, dataset.maximum)
    neighbours = neighbour_judge(real, dataset.test, dataset.maximum)
    return neighbours, linear_judge(dataset), _convolutional(dataset, epochs)


def _convolutional(dataset: Dataset, epochs: int) -> Judge:
    import torch

    assert dataset.test is not None
    module = taught(judging, dataset, epochs, rng=0)
    shape = dataset.train.images.shape[1:]

    def ask(ink: Array) -> Labels:
        parts = as_tensor(torch, np.asarray(ink).reshape(-1, *shape), 1.0).split(AT_ONCE)
        with torch.inference_mode():
            return np.concatenate([module(part).argmax(dim=1).numpy() for part in parts]).astype(np.int64)

    tried = dataset.test.select(slice(MOST_TRIED))
    return Judge.tried("convolutional", ask, ask(tried.images / dataset.maximum), tried.labels)
