"""One pool, sized once: what BLAS and PyTorch compute with."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from backquery import cli
from backquery.model import threads

COUNTED = """
import json, os
from backquery.cli import main
main(["lesson", "sigmoid"])
import torch
from threadpoolctl import threadpool_info
import scipy.linalg.lapack
pools = {f"{pool['user_api']} {k}": pool["num_threads"] for k, pool in enumerate(threadpool_info())}
print(json.dumps({**pools, "torch": torch.get_num_threads()}))
"""


def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the user has said nothing, on a machine of eight processors."""
    for name in threads.NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def test_half_of_the_processors_are_usual_unless_the_user_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch)
    assert threads.usual_threads() == 4
    monkeypatch.setenv(threads.NAMES[2], "8")
    assert threads.usual_threads() is None


def test_commands_and_the_library_mean_the_same_variables() -> None:
    assert cli.THREADS == threads.NAMES


@pytest.mark.needs("torch")
def test_pytorch_is_left_no_more_threads_than_are_usual_and_as_many_as_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    free(monkeypatch)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(6)
        with pytest.raises(KeyError), threads.sized(torch):
            assert torch.get_num_threads() == 4
            raise KeyError
        assert torch.get_num_threads() == 6
        torch.set_num_threads(3)
        with threads.sized(torch):
            assert torch.get_num_threads() == 3
        monkeypatch.setenv("OMP_NUM_THREADS", "6")
        torch.set_num_threads(6)
        with threads.sized(torch):
            assert torch.get_num_threads() == 6
    finally:
        torch.set_num_threads(before)


@pytest.mark.needs("torch")
def test_a_model_of_pytorch_is_asked_with_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from backquery import from_torch

    seen = []

    class Watched(torch.nn.Linear):
        def forward(self, images):
            seen.append(torch.get_num_threads())
            return super().forward(images.flatten(1))

    free(monkeypatch)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(7)
        model = from_torch(Watched(4, 3), input_shape=(2, 2))
        seen.clear()
        model.query(np.full((5, 4), 0.5))
        model.logits_and_jacobian(np.full((5, 4), 0.5))
        assert set(seen) == {4}
        assert torch.get_num_threads() == 7
    finally:
        torch.set_num_threads(before)


@pytest.mark.needs("torch")
def test_in_a_command_all_pools_have_one_size() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in threads.NAMES}
    done = subprocess.run(
        [sys.executable, "-c", COUNTED], env=environment, capture_output=True, text=True, check=True
    )
    sizes = json.loads(done.stdout.splitlines()[-1])
    assert len(sizes) >= 3
    assert set(sizes.values()) == {max(1, (os.cpu_count() or 1) // 2)}
