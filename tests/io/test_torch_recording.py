"""What a card is asked often is recorded and played back: the answers are those of the module, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import from_torch
from backquery.model import Scaling
from tests.needs import needs

needs("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


class Waiting(nn.Module):
    """What no recording can hold: Python waits for a number from the card."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return x[:, :3] * self.factor.item()


class Plain(nn.Module):
    """A small network, to be recorded."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_answers_and_derivatives_are_the_modules_own_however_often_they_are_asked(device, images, dtype):
    module = Plain().to(device)
    model = from_torch(module, input_shape=(8,), scaling=Scaling.unit(), dtype=dtype)
    assert model.quick.played is (device == "cuda")
    rng = np.random.default_rng(images)
    for _ in range(6):
        x, vectors = rng.uniform(size=(images, 8)), rng.normal(size=(1, 2, 3))
        np.testing.assert_allclose(model.quick.logits(x), model.logits(x), atol=1e-5)
        found, expected = (one.logits_and_products(x, vectors) for one in (model.quick, model))
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_what_cannot_be_recorded_is_run(device):
    model = from_torch(Waiting().to(device), input_shape=(4,), scaling=Scaling.unit())
    rng = np.random.default_rng(0)
    for _ in range(6):
        x = rng.normal(size=(1, 4))
        np.testing.assert_allclose(model.quick.logits(x), model.logits(x), atol=1e-5)
