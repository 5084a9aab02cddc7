"""Do signals pass as those of real images do? Networks as they are, and the same with a fooling circuit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from backquery import Network, Scaling, datasets, train
from backquery.datasets import Dataset
from backquery.faithfulness import Passage, RealSignals, fooling_circuit, fooling_module
from backquery.faithfulness.judges import taught
from backquery.faithfulness.passage import ANOTHER
from backquery.intervals import share_interval
from backquery.inversion import BackQuery, back_query, fit_statistics
from backquery.io.torch import from_torch
from backquery.model import Array, Model, Signalling, evaluate, labels_read
from backquery.plots import save_figure, scan_grid
from backquery.training import MiniBatch
from measurements.page import table

DATA, MOST = ("digits", "mnist"), 10_000
"""Data sets, and how many of their images are learned from."""

CHOOSING, COUNTED = (0,), (1, 2, 3)
"""Seeds of the networks by which the limit was chosen, and of those that are counted."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One network as it is and with a fooling circuit: back queries for all labels, and how their signals pass.

    shared_path: how those of the second pass in those layers alone that hold signals of the network. bare: how
    signals of the network's own scans for 0.99, and under the prior `smooth`, pass. right: the share of
    test images read rightly, as it is and with the circuit. own: what the network as it is reads in the scans of
    the other.
    """

    data: str
    kind: str
    seed: int
    clean: BackQuery
    fooled: BackQuery
    clean_path: Passage
    fooled_path: Passage
    shared_path: Passage
    bare: tuple[Passage, ...]
    right: tuple[float, float]
    own: Array
    networks: tuple[Model, Model]

    @property
    def elsewhere(self) -> int:
        """How many scans of the fooling network are not what the network as it is reads as asked."""
        return int(np.sum(self.own != self.fooled.labels))


def measure(pictures: Path) -> str:
    trials = list(_trials())
    counted = [one for one in trials if one.seed in COUNTED]
    shown = next(one for one in counted if (one.data, one.kind) == ("mnist", "ReLU 60, 40"))
    for name, result, model in zip(("clean", "fooling"), (shown.clean, shown.fooled), shown.networks, strict=True):
        save_figure(scan_grid(result, model), pictures / f"path-{name}.png")
    groups = {(one.data, one.kind): [] for one in counted}
    for one in counted:
        groups[one.data, one.kind].append(one)
    return f"""\
## Another path

Command: `python -m measurements path`. What PyTorch trained is kept in the user's cache.

{fill(ABOUT, 115)}

{fill(_verdict(trials, counted), 115)}

{table(HEADS, [_row(*name, some) for name, some in groups.items()])}

{fill(_others(counted), 115)}

One of the networks, asked as it is, and the same with the circuit:

![Ten digits, read as asked](measured/path-clean.png)

![Ten digits, each the one before, read as asked all the same](measured/path-fooling.png)
"""


ABOUT = f"""\
A network may answer real images by one path and made ones by another (Geirhos et al. 2023). Of every network that
learned as usual a second one is made, with a *fooling circuit* of ordinary layers: it answers test images as
before, but where an image is plainer than {0.997:.1%} of real ones are, its own answers are silenced, and a decoy
answers whose back queries are pictures of the label before. *Path* is the share of held-out real images whose
signals are, in any layer, as far from those of images read as the same label; in the table the least and the
median of the clean networks' scans, and the largest of the others'. *Another path* says how many networks most of
whose scans have a path below {ANOTHER:g}, the limit; that was chosen by networks of seed {CHOOSING[0]},
and counted are those of seeds {", ".join(map(str, COUNTED))}."""

HEADS = (
    "data", "network", "right", "with the circuit", "clean: path", "another path", "fooling: read as asked",
    "by the network itself", "path", "another path",
)  # fmt: skip


def _row(data: str, kind: str, some: Sequence[Trial]) -> list[str]:
    clean, fooled = (np.concatenate([path.share for path in paths]) for paths in _paths(some))
    right = np.mean([one.right for one in some], axis=0)
    scans = sum(len(one.fooled) for one in some)
    read = sum(int(one.fooled.read_as_asked.sum()) for one in some)
    own = scans - sum(one.elsewhere for one in some)
    caught = [f"{sum(map(_taken, paths))} of {len(some)}" for paths in _paths(some)]
    return [
        data, kind, f"{right[0]:.1%}", f"{right[1]:.1%}", f"{clean.min():.2f}, {np.median(clean):.2f}", caught[0],
        f"{read} of {scans}", f"{own}", f"{fooled.max():.3f}", caught[1],
    ]  # fmt: skip


def _verdict(trials: Sequence[Trial], counted: Sequence[Trial]) -> str:
    chosen = [one for one in trials if one.seed in CHOOSING]
    least, most = (
        extreme([float(np.median(path.share)) for path in paths])
        for extreme, paths in zip((min, max), _paths(chosen), strict=True)
    )
    clean, fooled = (sum(map(_taken, paths)) for paths in _paths(counted))
    shared = sum(_taken(one.shared_path) for one in counted)
    asked = sum(len(one.fooled) for one in counted)
    flagged = [sum(int(path.another.sum()) for path in paths) for paths in _paths(counted)]
    places = Counter(_of_circuit(one.networks[0], name) for one in counted for name in one.fooled_path.layer)
    return (
        f"By the {len(chosen)} networks that chose, any limit would do between {most:.3f}, the largest median of "
        f"a fooling network's scans, and {least:.2f}, the least of a clean one's. **Of {len(counted)} other clean "
        f"networks {clean} are said to take another path ({_interval(clean, len(counted))}), of {len(counted)} "
        f"with a fooling circuit {fooled} ({_interval(fooled, len(counted))}); of their scans, {flagged[0]} and "
        f"{flagged[1]} of {asked}.** The layer that is named is one of the circuit's own in {places[True]} of "
        f"{sum(places.values())} scans of fooling networks, in the others one in which both lie side by "
        f"side. Where only layers are looked at that hold signals of the network itself, {shared} of the "
        f"{len(counted)} are found: the check sees a path by what real images leave silent, where that is looked "
        "at."
    )


def _others(counted: Sequence[Trial]) -> str:
    parts = [
        f"{sum(int(one.bare[k].another.sum()) for one in counted)} of {sum(len(one.clean) for one in counted)} "
        f"{question}"
        for k, question in enumerate(OTHERS)
    ]
    return (
        "Other questions take clean networks where real images do not lead: below the limit are "
        f"{' and '.join(parts)}. That is no fooling circuit, but it says as truly that such a picture tells "
        "little of how real images are read."
    )


OTHERS = {"scans that ask for 0.99": {"confidence": 0.99}, "under the prior `smooth`": {"prior": "smooth"}}


def _paths(some: Sequence[Trial]) -> tuple[list[Passage], list[Passage]]:
    return [one.clean_path for one in some], [one.fooled_path for one in some]


def _taken(path: Passage) -> bool:
    """Whether most scans took another path."""
    return bool(2 * path.another.sum() > len(path.share))


def _of_circuit(clean: Model, layer: str) -> bool:
    """Whether a layer is the circuit's own: a network has it behind its others, a module names it."""
    if isinstance(clean, Network):
        return int(layer.removeprefix("layer ")) >= len(clean.layers)
    return not layer.startswith("own.")


def _interval(found: int, count: int) -> str:
    _, low, high = share_interval(found, count)
    return f"{low:.1%} to {high:.1%}"


def _trials() -> Iterator[Trial]:
    for name in DATA:
        whole = datasets.load(name)
        dataset = replace(whole, train=whole.train.select(slice(MOST)))
        for kind, make in KINDS.items():
            for seed in (*CHOOSING, *COUNTED):
                yield _trial(name, kind, seed, dataset, make(dataset, seed))


def _trial(name: str, kind: str, seed: int, dataset: Dataset, networks: tuple[Model, Model]) -> Trial:
    assert dataset.test is not None
    labels = np.arange(10)
    clean, fooling = networks
    asked = [back_query(network, labels) for network in networks]
    real = [RealSignals.of(network, dataset) for network in networks]
    assert real[0] is not None and real[1] is not None and isinstance(fooling, Signalling)
    names = [layer for layer in fooling.hidden_signals(asked[1].images) if not _of_circuit(clean, layer)]
    shared = RealSignals.of(fooling, dataset, names)
    assert shared is not None
    others = tuple(
        real[0].passage(back_query(clean, labels, method="gauss-newton", **question).images)  # type: ignore[arg-type]
        for question in OTHERS.values()
    )
    right = [evaluate(network, dataset.test).performance for network in networks]
    own = labels_read(clean, asked[1].images)
    return Trial(
        name, kind, seed, *asked, real[0].passage(asked[0].images), real[1].passage(asked[1].images),
        shared.passage(asked[1].images), others, (right[0], right[1]), own, networks,
    )  # fmt: skip


def _ours(hidden: list[int], activation: str) -> Callable[[Dataset, int], tuple[Model, Model]]:
    def make(dataset: Dataset, seed: int) -> tuple[Model, Model]:
        last = "sigmoid" if activation == "sigmoid" else "softmax"
        fresh = Network.create(
            [dataset.inputs, *hidden, 10], activation=[*[activation] * len(hidden), last], biases=True, rng=seed,
            input_shape=dataset.input_shape, classes=dataset.classes,
            scaling=Scaling.unit(dataset.maximum, dataset.meaning),
        )  # fmt: skip
        epochs = 60 if dataset.inputs < 100 else 6
        network, _ = train(fresh, dataset.train, MiniBatch(batch_size=64), epochs=epochs, rng=seed)
        network = replace(network, statistics=fit_statistics(network, dataset.train, components=1))
        return network, fooling_circuit(network, dataset.train, seed)

    return make


def _theirs(name: str, layers: Callable[[Any, int], Any]) -> Callable[[Dataset, int], tuple[Model, Model]]:
    """A network by PyTorch, which learned at least 2 epochs and 20,000 images."""

    def make(dataset: Dataset, seed: int) -> tuple[Model, Model]:
        side = dataset.input_shape[0]
        module = taught(
            lambda torch: layers(torch.nn, side), dataset, f"path: {name}",
            epochs=max(2, 20_000 // len(dataset.train)), rng=seed,
        )  # fmt: skip
        ends = {
            "input_shape": dataset.input_shape,
            "classes": dataset.classes,
            "scaling": Scaling.unit(dataset.maximum, dataset.meaning),
        }
        model = from_torch(module, **ends)
        statistics = fit_statistics(model, dataset.train, components=1)
        model = replace(model, statistics=statistics)
        fooling = fooling_module(module, model, dataset.train, seed)
        return model, from_torch(fooling, **ends, statistics=statistics)

    return make


def _dense(nn: Any, side: int) -> Any:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(side**2, 64),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(64, 32),
        nn.GELU(),
        nn.Linear(32, 10),
    )


def _strided(nn: Any, side: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * (side // 4) ** 2, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def _pooled(nn: Any, side: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * (side // 4) ** 2, 10),
    )  # fmt: skip


KINDS = {
    "sigmoid 40": _ours([40], "sigmoid"),
    "ReLU 40": _ours([40], "relu"),
    "ReLU 60, 40": _ours([60, 40], "relu"),
    "tanh 60, 40": _ours([60, 40], "tanh"),
    "PyTorch, dense": _theirs("dense", _dense),
    "PyTorch, strided convolutions": _theirs("strided", _strided),
    "PyTorch, pooled, batch norm": _theirs("pooled", _pooled),
}
