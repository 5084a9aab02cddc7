"""Damaged model files of every kind end in an error of ours, or in a network; never in anything else."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from backquery.errors import ModelError
from backquery.io import export_model, load_model
from backquery.model.network import Network

PACKAGES = {".safetensors": "safetensors", ".onnx": "onnx", ".keras": "h5py", ".skops": "skops"}
NEEDS = {suffix: pytest.mark.needs(package) for suffix, package in PACKAGES.items()}
TRIES = 120


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """`content` with one to eight of its bytes changed."""
    array = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(0, len(array), rng.integers(1, 9))
    array[places] = rng.integers(0, 256, len(places))
    return array.tobytes()


def saved(folder: Path, suffix: str) -> Path:
    path = folder / f"good{suffix}"
    network = Network.create([16, 8, 4], activation=["tanh", "softmax"], biases=True, rng=1, input_shape=(4, 4))
    export_model(network, path)
    return path


def is_a_network_or_refused(path: Path) -> bool:
    try:
        network = load_model(path)
    except ModelError:
        return False
    if isinstance(network, Network):
        assert all(np.isfinite(layer.weights).all() for layer in network.layers)
    else:  # the graph is another now, and answers all the same
        assert np.isfinite(network.query(np.full((1, network.inputs), 0.5))).all()
    return True


@pytest.mark.parametrize("suffix", [pytest.param(suffix, marks=mark) for suffix, mark in NEEDS.items()])
def test_changed_bytes(suffix: str, tmp_path: Path) -> None:
    content = saved(tmp_path, suffix).read_bytes()
    rng = np.random.default_rng(5)
    path = tmp_path / f"bad{suffix}"
    refused = 0
    for _ in range(TRIES):
        path.write_bytes(damaged(content, rng))
        refused += not is_a_network_or_refused(path)
    assert refused > 0


@pytest.mark.parametrize(
    ("suffix", "inside"),
    [
        pytest.param(".keras", "config.json", marks=NEEDS[".keras"]),
        pytest.param(".keras", "backquery.json", marks=NEEDS[".keras"]),
        pytest.param(".skops", "schema.json", marks=NEEDS[".skops"]),
    ],
)
def test_changed_bytes_within_an_archive_whose_checksums_are_right(
    suffix: str, inside: str, tmp_path: Path
) -> None:
    with ZipFile(saved(tmp_path, suffix)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    rng = np.random.default_rng(5)
    path = tmp_path / f"bad{suffix}"
    refused = 0
    for _ in range(TRIES):
        with ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, damaged(content, rng) if name == inside else content)
        refused += not is_a_network_or_refused(path)
    assert refused > 0


@pytest.mark.parametrize(
    ("suffix", "other"),
    [pytest.param(one, other, marks=[NEEDS[one], NEEDS[other]]) for one, other in permutations(PACKAGES, 2)],
)
def test_a_file_of_another_kind_under_this_name(suffix: str, other: str, tmp_path: Path) -> None:
    wrong = tmp_path / f"wrong{other}"
    wrong.write_bytes(saved(tmp_path, suffix).read_bytes())
    with pytest.raises(ModelError, match=r"wrong\."):
        load_model(wrong)
