"""A saved network is the same network, and no file is believed before it has been checked."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from backquery.errors import ModelError, OutputError
from backquery.io import native
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.model.statistics import MIXTURE_PARTS, SPECTRUM_PARTS, Mixture, Spectrum, Statistics


def full_network(rng: int = 0, dtype: str = "float32") -> Network:
    """A network that carries everything a file can hold."""
    random = np.random.default_rng(rng)
    return Network.create(
        [6, 4, 3],
        activation=["tanh", "softmax"],
        biases=True,
        rng=random,
        dtype=dtype,
        input_shape=(2, 3),
        classes=("один", "二", "3"),
        scaling=Scaling.standardised(random.uniform(0, 16, (20, 6)), 16),
        statistics=Statistics(
            random.normal(size=6),
            random.normal(size=(6, 2)).astype("float32"),
            random.uniform(1, 2, 6),
            random.normal(size=(3, 3)),
            mixture_of(random),
            Spectrum(random.uniform(1, 2, (5, 3)), np.linalg.qr(random.normal(size=(3, 3)))[0]),
        ),
        about={"recipe": "book", "epochs": 5, "history": [{"loss": 0.25}], "note": "ink — на бумаге"},
    )


def mixture_of(random: np.random.Generator) -> Mixture:
    """Two components over six inputs, of rank two within three directions."""
    parts = [
        np.array([0.25, 0.75]), np.eye(6)[:, :3], random.normal(size=(2, 3)), random.normal(size=(2, 3, 2)),
    ]  # fmt: skip
    return Mixture(*(part.astype("float32") for part in parts))


def assert_same(one: Network, other: Network) -> None:
    assert other.dtype == one.dtype
    for before, after in zip(one.layers, other.layers, strict=True):
        assert np.array_equal(before.weights, after.weights)
        assert (before.biases is None) == (after.biases is None)
        assert before.biases is None or np.array_equal(before.biases, after.biases)
        assert before.activation is after.activation
    assert (other.input_shape, other.classes, other.about) == (one.input_shape, one.classes, one.about)
    for part, names in (
        ("scaling", ("gain", "offset", "maximum")),
        ("statistics", ("mean", "factor", "diagonal", "typical")),
    ):
        mine, yours = getattr(one, part), getattr(other, part)
        assert (mine is None) == (yours is None)
        for name in names if mine is not None else ():
            one_part, other_part = np.asarray(getattr(mine, name)), np.asarray(getattr(yours, name))
            assert np.array_equal(one_part, other_part), f"{part}.{name}"
            assert part == "scaling" or one_part.dtype == other_part.dtype
    for part, names in (("mixture", MIXTURE_PARTS), ("spectrum", SPECTRUM_PARTS)):
        mine, yours = (getattr(network.statistics, part, None) for network in (one, other))
        assert (mine is None) == (yours is None)
        for name in names if mine is not None else ():
            np.testing.assert_array_equal(getattr(yours, name), getattr(mine, name))


networks = st.builds(
    Network.create,
    st.lists(st.integers(1, 7), min_size=2, max_size=5),
    activation=st.sampled_from(["sigmoid", "tanh", "relu", "leaky-relu", "leaky-relu:0.2", "identity"]),
    biases=st.booleans(),
    rng=st.integers(0, 2**32),
    dtype=st.sampled_from(["float32", "float64"]),
    scaling=st.none() | st.builds(Scaling.book, st.floats(0.5, 1000)) | st.just(Scaling.unit(16)),
    about=st.dictionaries(st.text(), st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
)


@settings(max_examples=40)
@given(network=networks)
def test_saving_then_loading_is_the_identity(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("saved") / "network.safetensors"
    native.save(network, path)
    assert_same(network, native.load(path))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_that_a_network_carries_comes_back(tmp_path: Path, dtype: str) -> None:
    network = full_network(dtype=dtype)
    path = tmp_path / "network.safetensors"
    native.save(network, path)
    again = native.load(path)
    assert_same(network, again)
    images = np.random.default_rng(1).integers(0, 17, (5, 2, 3))
    assert np.array_equal(network.query_images(images), again.query_images(images))


def test_statistics_may_lack_the_typical_answers_and_have_no_factor(tmp_path: Path) -> None:
    network = full_network()
    assert network.statistics is not None
    bare = replace(network, statistics=replace(network.statistics, typical=None, factor=np.empty((6, 0))))
    native.save(bare, tmp_path / "bare.safetensors")
    assert_same(bare, native.load(tmp_path / "bare.safetensors"))


@pytest.mark.parametrize(("kept", "version"), [((), 1), (("mixture",), 2), (("spectrum",), 3)], ids=str)
def test_files_say_the_oldest_format_that_knows_what_they_keep(kept: tuple[str, ...], version: int) -> None:
    network = full_network()
    statistics = replace(network.statistics, **dict.fromkeys({"mixture", "spectrum"}.difference(kept)))
    content = native.to_bytes(replace(network, statistics=statistics))
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    assert json.loads(header["__metadata__"]["backquery"])["version"] == version


def test_other_programs_can_read_the_tensors(tmp_path: Path) -> None:
    network = full_network()
    native.save(network, tmp_path / "network.safetensors")
    with safe_open(tmp_path / "network.safetensors", framework="numpy") as file:
        assert np.array_equal(file.get_tensor("layers.1.weights"), network.layers[1].weights)
        assert json.loads(file.metadata()["backquery"])["classes"] == ["один", "二", "3"]


@pytest.mark.parametrize("about", [{"loss": float("nan")}, {"weights": np.ones(2)}])
def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path: Path, about: dict[str, Any]) -> None:
    path = tmp_path / "network.safetensors"
    native.save(full_network(), path)
    before = path.read_bytes()
    with pytest.raises(ModelError, match="plain JSON values"):
        native.save(replace(full_network(1), about=about), path)
    assert path.read_bytes() == before


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        native.save(full_network(), tmp_path / "nowhere" / "network.safetensors")


def rewrite(path: Path, change: dict[str, Any]) -> None:
    """Save `path` again with parts of its description changed by dotted name, its tensors as they were."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["backquery"])
    for place, value in change.items():
        *parents, last = place.split(".")
        inner = description
        for parent in parents:
            inner = inner[int(parent) if isinstance(inner, list) else parent]
        inner[int(last) if isinstance(inner, list) else last] = value
    save_file(tensors, path, metadata={"backquery": json.dumps(description)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 4}, "written by a newer backquery"),
        ({"version": True}, "needs a whole number as version"),
        ({"dtype": "float64"}, r"layers.0.weights should be F64 of shape \[4, 6\]"),
        ({"dtype": "float16"}, "dtype is 'float16', which this version does not know"),
        ({"layers": []}, "names no layers"),
        ({"layers": {"0": 1}}, "needs a list as layers"),
        ({"layers.0": 7}, "has no object layers.0"),
        ({"layers.0.outputs": 5}, r"layers.0.weights should be F32 of shape \[5, 6\]"),
        ({"layers.0.inputs": -6}, "layers.0.inputs must be at least 1"),
        ({"layers.0.inputs": 10**400}, "layers.0.weights should be F32"),
        ({"layers.1.biases": False}, "disagree about layers.1.biases"),
        ({"layers.1.biases": "yes"}, "needs true or false as layers.1.biases"),
        ({"layers.1.activation": "maxout"}, "unknown activation 'maxout'"),
        ({"layers.0.activation": "softmax"}, "softmax is for the output layer only"),
        ({"input_shape": [3, 3]}, "does not make 6 inputs"),
        ({"input_shape": [2, "3"]}, "needs a whole number as input_shape.1"),
        ({"classes": ["1", "2"]}, "3 outputs need as many class names"),
        ({"classes": ["1", "1", "3"]}, "class names must differ"),
        ({"classes": [1, 2, 3]}, "classes must hold texts only"),
        ({"scaling.maximum": -1.0}, "a finite number above zero"),
        ({"scaling.maximum": 10**400}, "scaling.maximum must be finite"),
        ({"scaling.gain": 1.0}, "disagree about scaling.gain"),
        ({"scaling": None}, "disagree about scaling.gain, scaling.offset"),
        ({"statistics.rank": 3}, r"statistics.factor should be F32 of shape \[6, 3\]"),
        ({"statistics.dtypes.typical": None}, "disagree about statistics.typical"),
        ({"statistics.dtypes.mean": "int8"}, "statistics.dtypes.mean is 'int8'"),
        ({"statistics.dtypes": None}, "needs an object as statistics.dtypes"),
        ({"statistics": None}, "disagree about statistics.diagonal"),
        ({"statistics.mixture": None}, "disagree about statistics.mixture.basis"),
        ({"statistics.mixture.components": 3}, r"mixture.weights should be F32 of shape \[3\]"),
        ({"statistics.mixture.width": "3"}, "needs a whole number as statistics.mixture.width"),
        ({"statistics.mixture.rank": 0}, "statistics.mixture.rank must be at least 1"),
        ({"statistics.spectrum": None}, "disagree about statistics.spectrum.axes"),
        ({"statistics.spectrum.rings": 4}, r"spectrum.powers should be F64 of shape \[4, 3\]"),
        ({"statistics.spectrum.channels": 0}, "statistics.spectrum.channels must be at least 1"),
        ({"about": "mine"}, "needs an object as about"),
    ],
)
def test_a_description_that_does_not_fit_its_tensors_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "network.safetensors"
    native.save(full_network(), path)
    rewrite(path, change)
    with pytest.raises(ModelError, match=said) as caught:
        native.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["layers.0.weights", "layers.1.biases", "scaling.gain", "statistics.mean", "statistics.mixture.centres"],
)
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "network.safetensors"
    native.save(full_network(), path)
    with safe_open(path, framework="numpy") as file:
        tensors = {key: file.get_tensor(key).copy() for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors[name].flat[0] = np.inf
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ModelError, match=f"{name} holds numbers that are not finite"):
        native.load(path)


def with_header(header: bytes, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no safetensors file, or was cut short"),
        (b"1234567", "is no safetensors file, or was cut short"),
        (struct.pack("<Q", 2**63) + b"{}", "is no safetensors file, or was cut short"),
        (with_header(b"not json"), "its header is not JSON"),
        (with_header(b"\xff\xfe\xfd"), "its header is not JSON"),
        (with_header(b"[" * 100_000), "its header is not JSON"),
        (with_header(b"[1]"), "its header is not a JSON object"),
        (with_header(b"{}"), "was not written by backquery"),
        (with_header(b'{"__metadata__": {"backquery": "{"}}'), "its description is not JSON"),
        (with_header(b'{"__metadata__": {"backquery": "[]"}}'), "its description has no object at the top"),
    ],
)
def test_what_is_not_a_model_file_is_said_to_be_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "strange.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        native.load(path)


def test_a_header_longer_than_any_network_needs_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", native.HEADER_LIMIT + 1))
        stream.truncate(native.HEADER_LIMIT + 100)
    with pytest.raises(ModelError, match="longer than any network needs"):
        native.load(path)


@pytest.mark.parametrize("missing", [1, 8, 200])
def test_a_file_cut_short_or_grown_is_refused(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "network.safetensors"
    native.save(full_network(), path)
    whole = path.read_bytes()
    for content in (whole[:-missing], whole + b"x" * missing):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"its tensors take \d+ bytes, but the file holds \d+"):
            native.load(path)


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    native.save(full_network(), path)
    whole = path.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    header["layers.0.biases"]["data_offsets"] = header["layers.0.weights"]["data_offsets"]
    path.write_bytes(with_header(json.dumps(header).encode(), whole[8 + length :]))
    with pytest.raises(ModelError, match=r"network.safetensors"):
        native.load(path)


@settings(max_examples=150)
@given(
    places=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 300),
)
def test_whatever_happens_to_the_bytes_it_is_a_network_or_a_clear_refusal(
    places: list[tuple[int, int]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "network.safetensors"
    native.save(full_network(), path)
    content = bytearray(path.read_bytes())
    for place, value in places:
        content[place % len(content)] = value
    path.write_bytes(bytes(content[: len(content) - cut]))
    try:
        network = native.load(path)
    except ModelError as error:
        assert str(path) in str(error)
    else:
        assert np.isfinite(network.query(np.zeros(network.inputs))).all()
