"""Large and deep, 3 x 224 x 224 with 1,000 labels, and 3 x 32 x 32 with ten: read as asked, and at what cost.

The networks have random weights, and a batch normalisation and a last layer that were set by pieces of real
photographs, so that answers differ from image to image as a trained network's do. Each is asked in a process of
its own, one label at a time: ``python -m benchmarks.deep resnet-18 --device cuda`` is one such process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from backquery import Scaling, from_torch
from backquery.inversion import BackQuery, back_query
from backquery.model import Array, Model
from benchmarks.training import Section

THREADS = 2
"""Cores that are used."""

ASKED = 10
"""Labels asked of each network."""

TOLERANCE = 1e-3
"""How far log-odds may be from those asked for."""

CALIBRATING, PIECES = 4, 16
"""Batches of so many pieces that set the normalisation and the last layer."""

SPREAD = 3.0
"""The standard deviation of each output from image to image, as large trained networks have it."""

LINUX = Path("/proc/self")
"""Where Linux tells a process of its memory, and begins to count anew."""

COLUMNS = [
    "network", "device", "prior", "read", "verified", "worst error", "outcomes", "first s", "median s", "worst s",
    "peak GB", "GB before",
]  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A network to be asked: how it is made of PyTorch, the side of its images, and its number of labels."""

    make: Callable[[Any, int], Any]
    side: int
    labels: int


def deep(device: str | None = None) -> Section:
    """Every network, each in a process of its own; on a GPU where there is one, as well."""
    devices = [device] if device else ["cpu", *(["cuda"] if _cuda() else [])]
    rows = [_row(name, where) for where in devices for name in SHAPES]
    title = (
        f"{ASKED} labels asked one at a time, {THREADS} cores. Verified: the label's log-odds, by all "
        f"outputs, within {TOLERANCE:g} in float64, and no other output above it"
    )
    return title, COLUMNS, rows


def _cuda() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _row(name: str, device: str) -> list[Any]:
    """What a process of its own says of one network."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    command = [sys.executable, "-m", "benchmarks.deep", name, "--device", device]
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)
    if done.returncode:
        return [name, device, f"failed: {done.stderr.strip().splitlines()[-1]}", *[""] * (len(COLUMNS) - 3)]
    found = json.loads(done.stdout.splitlines()[-1])
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in found["outcomes"].items())
    seconds = found["seconds"]
    return [
        name, found["device"], found["prior"],
        f"{found['read']}/{found['asked']}", f"{found['verified']}/{found['asked']}", f"{found['error']:.1g}",
        outcomes, f"{seconds[0]:.1f}", f"{np.median(seconds):.1f}", f"{max(seconds):.1f}",
        f"{found['peak']:.2f}", f"{found['before']:.2f}",
    ]  # fmt: skip


def asked(name: str, device: str, prior: str | None, count: int = ASKED, threads: int = THREADS) -> dict[str, Any]:
    """One network asked for its first labels: what came of it, seconds of each, gigabytes of memory."""
    import torch

    torch.set_num_threads(threads)
    shape = SHAPES[name]
    module = settled(torch, name)
    classes = [str(label) for label in range(shape.labels)]
    scaling = Scaling.unit()
    model = from_torch(
        module.to(device), input_shape=(3, shape.side, shape.side), scaling=scaling, classes=classes
    )
    before = _gigabytes(torch, device, anew=True)
    results, seconds = [], []
    for label in range(count):
        clock = perf_counter()
        results.append(back_query(model, [label], method="gauss-newton", prior=prior))
        seconds.append(perf_counter() - clock)
    peak = _gigabytes(torch, device)
    errors = [verified(model, result) for result in results]
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "prior": results[0].prior,
        "asked": count,
        "read": sum(int(result.read_as_asked[0]) for result in results),
        "verified": sum(error <= TOLERANCE for error in errors),
        "error": max(errors),
        "outcomes": Counter(result.outcome[0] for result in results),
        "steps": [int(result.steps[0]) for result in results],
        "seconds": seconds,
        "peak": peak,
        "before": before,
    }


def verified(model: Model, result: BackQuery) -> float:
    """How far the label's log-odds in the image are from those asked for, by all outputs in float64.

    Infinity where another output is stronger, or the image leaves the box.
    """
    (label,), (target,) = result.labels, np.asarray(result.targets)
    answers = np.asarray(model.query(result.images), np.float64)[0]
    inside = np.all((result.images >= 0) & (result.images <= 1))
    if not inside or answers.argmax() != label:
        return np.inf
    return float(abs(_logit(answers, label) - _logit(target, label)))


def _logit(answers: Array, label: int) -> float:
    """The log-odds of one answer against the sum of all others, which 1 - p would round away."""
    return float(np.log(answers[label]) - np.log(np.delete(answers, label).sum()))


def _gigabytes(torch: Any, device: str, anew: bool = False) -> float:
    """The most memory that this process has held on its device, so far, or from now on.

    Of a processor's that is the resident set, which holds PyTorch and the network too.
    """
    if device == "cuda":
        if anew:
            torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.max_memory_allocated() / 1e9)
    if not LINUX.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    if anew:
        (LINUX / "clear_refs").write_text("5")
    peak = next(line for line in (LINUX / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) * 1024 / 1e9


def settled(torch: Any, name: str) -> Any:
    """The network of that name with random weights, its normalisation and last layer set by photographs."""
    shape = SHAPES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = shape.make(torch, shape.labels)
    return settle(torch, module, torch.from_numpy(_pieces(shape.side)))


def settle(torch: Any, module: Any, images: Any) -> Any:
    """Set a module's batch normalisation and last layer by images (n, 3, rows, columns), as a training would."""
    batches = images.split(PIECES)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        module.train()
        for batch in batches:
            module(batch)
        module.eval()
        _spread(torch, module, torch.cat([module(batch) for batch in batches]))
    return module


def _spread(torch: Any, module: Any, outputs: Any) -> None:
    """Give each of the last layer's outputs a mean of 0 and a standard deviation of `SPREAD` over images."""
    last = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)][-1]
    gain = SPREAD / outputs.std(dim=0)
    last.weight *= gain[:, None]
    last.bias.copy_((last.bias - outputs.mean(dim=0)) * gain)


def _pieces(side: int) -> Array:
    """Pieces (n, 3, side, side) of two photographs, from 0 to 1, with a little noise."""
    from sklearn.datasets import load_sample_image

    rng = np.random.default_rng(0)
    photographs = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    pieces = []
    for number in range(CALIBRATING * PIECES):
        photograph = photographs[number % len(photographs)]
        coarse = int(rng.integers(1, 427 // side + 1))
        top, left = (int(rng.integers(0, length - side * coarse + 1)) for length in photograph.shape[:2])
        piece = photograph[top : top + side * coarse : coarse, left : left + side * coarse : coarse] / 255
        pieces.append(np.clip(piece + rng.normal(0, 0.05, piece.shape), 0, 1).transpose(2, 0, 1))
    return np.stack(pieces).astype(np.float32)


def residual_block(torch: Any, inward: int, outward: int, stride: int) -> Any:
    """Two 3 x 3 convolutions, normalised, added to their input (He, Zhang, Ren & Sun 2016)."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(inward, outward, 3, stride, 1, bias=False), nn.BatchNorm2d(outward), nn.ReLU(),
                nn.Conv2d(outward, outward, 3, 1, 1, bias=False), nn.BatchNorm2d(outward),
            )  # fmt: skip
            same = inward == outward and stride == 1
            projected = nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward)
            self.past = nn.Identity() if same else nn.Sequential(*projected)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.past(x))

    return Block()


def resnet_18(torch: Any, labels: int) -> Any:
    """The shape of ResNet-18: 11.7 million weights with 1,000 labels."""
    nn = torch.nn
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for inward, outward in ((64, 64), (64, 128), (128, 256), (256, 512)):
        stride = 1 if inward == outward else 2
        layers += [residual_block(torch, inward, outward, stride), residual_block(torch, outward, outward, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, labels))


def vision_transformer(torch: Any, labels: int, width: int = 192, depth: int = 12, heads: int = 3) -> Any:
    """The shape of ViT-Ti/16 (Dosovitskiy et al. 2021; Touvron et al. 2021): 5.7 million weights."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
            self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.body = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            parts = self.mixed(self.before(x)).unflatten(2, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
            seen = nn.functional.scaled_dot_product_attention(*parts.unbind(0))
            x = x + self.out(seen.transpose(1, 2).flatten(2))
            return x + self.body(self.after(x))

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, width, 16, 16)
            self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
            self.places = nn.Parameter(torch.randn(1, 14 * 14 + 1, width) * 0.02)
            self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
            self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, labels))

        def forward(self, x: Any) -> Any:
            patches = self.patches(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1)
            return self.last(self.blocks(tokens + self.places)[:, 0])

    return Transformer()


def three_convolutions(torch: Any, labels: int, side: int = 32) -> Any:
    """Three convolutions (32-64-64), each normalised and halved by its maxima, and a dense layer."""
    nn, layers = torch.nn, []
    for inward, outward in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inward, outward, 3, padding=1), nn.BatchNorm2d(outward), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (side // 8) ** 2, labels))


SHAPES = {
    "resnet-18": Shape(resnet_18, 224, 1000),
    "vit": Shape(vision_transformer, 224, 1000),
    "convolutions": Shape(three_convolutions, 32, 10),
}
"""The networks, by name."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep", description=__doc__)
    parser.add_argument("network", nargs="?", choices=SHAPES, help="one network, in this process; by default all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=None, help="where the modules live")
    parser.add_argument("--prior", help="which prior, by default the usual one")
    parser.add_argument("--labels", type=int, default=ASKED, help="how many labels are asked")
    parser.add_argument("--threads", type=int, default=THREADS, help="of how many cores")
    options = parser.parse_args()
    if options.network is None:
        print(json.dumps(deep(options.device), indent=1))
    else:
        found = asked(options.network, options.device or "cpu", options.prior, options.labels, options.threads)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
