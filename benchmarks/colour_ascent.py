"""Ascent with the Fourier parametrisation, as Lucent and MACO describe it, to be seen beside a back query.

Both climb a label's score from a picture that is the inverse transform of a spectrum, its colours correlated as
real ones are, brought between 0 and 1 by a sigmoid, and shown to the network moved at random. Lucent (after Olah,
Mordvintsev & Schubert, *Feature Visualization*, 2017) climbs along the spectrum, scaled by one over the frequency;
MACO (Fel et al., *Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization*,
2023) along its phases alone, the magnitudes being the mean of real images'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from backquery.model import Array, Labels

STEPS = 512
"""Lucent's own number of steps."""

MOVED, SCALED, TURNED = 0.06, 0.08, 0.09
"""How far a picture is moved, in shares of its side, made larger or smaller, and turned, in radians, at most."""

CROPPED, NOISE = (0.75, 1.0), 0.05
"""The smallest and the largest side of the part that MACO shows, and the noise on it."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """What is climbed along, the pictures (n, 3, rows, columns) that it stands for, and Adam's rate."""

    values: Any
    pictures: Callable[[], Any]
    shown: Callable[[Any], Any]
    rate: float


@dataclass(frozen=True, eq=False)
class Climbed:
    """Pictures (n, 3, rows, columns) between 0 and 1, after so many steps and seconds."""

    images: Array
    steps: int
    seconds: float


def climbed(
    torch: Any, module: Any, real: Any, labels: Labels, kind: str, *, seconds: float = np.inf, rng: int = 0
) -> Climbed:
    """Climb the score of each label, for 512 steps, or for as long as is given.

    module: takes images (n, 3, rows, columns) from 0 to 1 to scores; real: some such images, whose colours and
    magnitudes are used; kind: one of `KINDS`.
    """
    clock = perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng)
        parameters = KINDS[kind](torch, real, len(labels))
        adam = torch.optim.Adam([parameters.values], lr=parameters.rate)
        wanted, steps = torch.from_numpy(np.asarray(labels)), 0
        while perf_counter() - clock < seconds and (steps < STEPS or seconds < np.inf):
            adam.zero_grad()
            scores = module(parameters.shown(parameters.pictures()))
            (-scores.gather(1, wanted[:, None]).sum()).backward()
            adam.step()
            steps += 1
        images = parameters.pictures().detach().numpy()
    return Climbed(images, steps, perf_counter() - clock)


def lucent(torch: Any, real: Any, count: int) -> Parameters:
    """Spectra scaled by one over the frequency, begun with faint noise."""
    rows, columns = real.shape[-2:]
    frequencies = torch.sqrt(torch.fft.fftfreq(rows)[:, None] ** 2 + torch.fft.rfftfreq(columns) ** 2)
    scale = (rows * columns) ** 0.5 / frequencies.clamp_min(1 / max(rows, columns))
    values = (0.01 * torch.randn(count, 3, *scale.shape, 2)).requires_grad_()
    colours = _colours(torch, real)
    # Of a transform that is no longer by its number of pixels, a quarter is what Lucent takes.
    colours = colours / colours.norm(dim=0).max() / 4

    def pictures() -> Any:
        spectra = torch.view_as_complex(values) * scale
        return torch.sigmoid(_coloured(torch, colours, torch.fft.irfft2(spectra, s=(rows, columns), norm="ortho")))

    return Parameters(values, pictures, lambda seen: _moved(torch, seen), 0.05)


def maco(torch: Any, real: Any, count: int) -> Parameters:
    """Phases begun at random; the magnitudes are the mean of real images', before sigmoid and colours."""
    rows, columns = real.shape[-2:]
    colours = _colours(torch, real)
    logits = torch.logit(real.clamp(0.02, 0.98))
    centre = logits.mean(dim=(0, 2, 3))
    plain = _coloured(torch, torch.linalg.inv(colours), logits - centre[:, None, None])
    magnitudes = torch.fft.rfft2(plain, norm="ortho").abs().mean(dim=0)
    values = (2 * np.pi * torch.rand(count, *magnitudes.shape) - np.pi).requires_grad_()

    def pictures() -> Any:
        spectra = torch.polar(magnitudes.expand_as(values), values)
        plain = torch.fft.irfft2(spectra, s=(rows, columns), norm="ortho")
        return torch.sigmoid(_coloured(torch, colours, plain) + centre[:, None, None])

    return Parameters(values, pictures, lambda seen: _cropped(torch, seen), 0.1)


KINDS: dict[str, Callable[[Any, Any, int], Parameters]] = {"Lucent": lucent, "MACO": maco}
"""The two ways, by the names of who describes them."""


def _colours(torch: Any, real: Any) -> Any:
    """The root of the colours' covariance in real images, before the sigmoid, (3, 3)."""
    pixels = torch.logit(real.clamp(0.02, 0.98)).permute(1, 0, 2, 3).reshape(3, -1)
    variances, directions = torch.linalg.eigh(torch.cov(pixels))
    return directions * variances.clamp_min(1e-6).sqrt()


def _coloured(torch: Any, colours: Any, plain: Any) -> Any:
    return torch.einsum("cd,ndij->ncij", colours, plain)


def _moved(torch: Any, pictures: Any) -> Any:
    """Each picture moved, scaled and turned a little at random, as Lucent shows them."""
    count = len(pictures)
    angles, scales = (2 * torch.rand(2, count) - 1) * torch.tensor([[TURNED], [SCALED]])
    ways = (2 * torch.rand(count, 2) - 1) * 2 * MOVED
    return _seen_through(torch, pictures, angles, 1 + scales, ways)


def _cropped(torch: Any, pictures: Any) -> Any:
    """A part of each picture at random, as large as the picture, with noise, as MACO shows them."""
    count, (low, high) = len(pictures), CROPPED
    sides = low + (high - low) * torch.rand(count)
    ways = (2 * torch.rand(count, 2) - 1) * (1 - sides[:, None])
    seen = _seen_through(torch, pictures, torch.zeros(count), sides, ways)
    return seen + NOISE * (2 * torch.rand_like(seen) - 1)


def _seen_through(torch: Any, pictures: Any, angles: Any, scales: Any, ways: Any) -> Any:
    """Pictures through a frame that is turned by angles (n,), scaled (n,) and moved (n, 2) in halves of a side."""
    across, down = scales * angles.cos(), scales * angles.sin()
    frames = torch.stack([across, -down, ways[:, 0], down, across, ways[:, 1]], dim=1).reshape(-1, 2, 3)
    grid = torch.nn.functional.affine_grid(frames, list(pictures.shape), align_corners=False)
    return torch.nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
