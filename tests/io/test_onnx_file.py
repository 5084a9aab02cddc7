"""An ONNX file opens no other file but its own, runs no code, and is not used before it was compared."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery.errors import AssumptionWarning, BackqueryError, ModelError
from backquery.io import load_model
from backquery.io.onnx import network_from_onnx, network_to_onnx, save_onnx
from backquery.io.onnx_graph import Graph
from backquery.io.onnx_runtime import compare_with_runtime
from backquery.model import Network
from tests.io.test_onnx import W, model_of, node

pytestmark = pytest.mark.needs("onnx", "onnxruntime")

NETWORK = Network.create([40, 30, 10], rng=1, biases=True)


def saved(folder: Path, **told: str) -> Path:
    """The network with its numbers in `m.data` beside it, and this said of their place."""
    import onnx

    model = network_to_onnx(NETWORK)
    (folder / "m.data").unlink(missing_ok=True)
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = told.get(entry.key, entry.value)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_numbers_beside_it_and_below_it_are_read(tmp_path: Path) -> None:
    network = load_model(saved(tmp_path))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(network.layers, NETWORK.layers, strict=True))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "m.data").write_bytes((tmp_path / "m.data").read_bytes())
    assert load_model(saved(tmp_path, location="deeper/m.data")).sizes == NETWORK.sizes


@pytest.mark.reads(
    "model", "ONNX whose second file is missing, elsewhere or too short", "refused, with what to do"
)
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"location": "other.data"}, "lie in another file, other.data, which is not there; put it beside"),
        ({"location": "../m.data"}, "not in the model's own folder and is not opened.*external_data=False"),
        ({"location": "a/../../m.data"}, "not in the model's own folder"),
        ({"location": "..\\m.data"}, "not in the model's own folder"),
        ({"location": "/etc/hostname"}, "not in the model's own folder"),
        ({"location": "C:\\m.data"}, "not in the model's own folder"),
        ({"location": ""}, "without a name, which is not in the model's own folder"),
        ({"location": "."}, "is not in the model's own folder"),
        ({"location": "m.data\0"}, "not in the model's own folder"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, "which is not there"),
        ({"offset": "10000"}, r"weights_1 needs 4,800 bytes from byte 10,000 of m.data, which .* holds"),
        ({"offset": "-1"}, "says '-1' of the place of its numbers"),
        ({"length": "12"}, "needs 4,800 bytes .* says 12"),
        ({"length": "9" * 30}, "says '9999"),
    ],
)
def test_no_other_place_is_read(told: dict[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "m.data").write_bytes(bytes(10_000))
    path = saved(tmp_path / "models", **told)
    with pytest.raises(ModelError, match=said):
        load_model(path)


@pytest.mark.needs("POSIX processes")
def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = saved(tmp_path / "models")
    (tmp_path / "models" / "m.data").rename(tmp_path / "outside.data")
    (tmp_path / "models" / "m.data").symlink_to(tmp_path / "outside.data")
    with pytest.raises(ModelError, match="a link that leads out of the model's own folder"):
        load_model(path)
    (tmp_path / "models" / "m.data").unlink()
    (tmp_path / "outside.data").rename(tmp_path / "models" / "inside.data")
    (tmp_path / "models" / "m.data").symlink_to("inside.data")
    assert load_model(path).sizes == NETWORK.sizes


@pytest.mark.needs("named pipes")
def test_a_pipe_is_no_file_of_numbers(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "m.data").unlink()
    os.mkfifo(tmp_path / "m.data")
    with pytest.raises(ModelError, match="which is not there"):
        load_model(path)


def test_bytes_have_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(tmp_path).read_bytes()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"m.data, and bytes have no folder.*external_data=False"):
        network_from_onnx(content)


def test_numbers_outside_in_an_operator_count_too(tmp_path: Path) -> None:
    """Where onnxruntime would open a file by itself."""
    from onnx import TensorProto, helper

    far = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="../../etc/passwd")
    inner = helper.make_graph([node("Identity", "far", "i")], "inner", [], [], [far])
    branch = helper.make_node("If", ["c"], ["unused"], then_branch=inner, else_branch=inner)
    content = model_of([node("MatMul", "x w"), branch], {"w": W, "c": np.array(True)})
    with pytest.raises(ModelError, match="the numbers of far lie in another file"):
        network_from_onnx(content)
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"not in the model's own folder"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.reads("model", "ONNX with operators of somebody's own domain", "refused before anything of it is run")
def test_operators_of_another_domain_are_refused() -> None:
    nodes = [node("MatMul", "x w"), node("Spy", "x", "seen", domain="com.example")]
    with pytest.raises(ModelError, match=r"operators of the domain com.example are not part of ONNX"):
        network_from_onnx(model_of(nodes, {"w": W}))


def test_only_the_path_to_the_scores_is_run() -> None:
    """What asks for more memory than there is stands beside it, and would end the runtime."""
    nodes = [node("MatMul", "x w"), node("ConstantOfShape", "huge", "zeros"), node("ReduceSum", "zeros", "sum")]
    network = network_from_onnx(model_of(nodes, {"w": W, "huge": np.array([10**7, 10**7])}))
    assert network.sizes == (4, 3)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_changed_anywhere_are_an_error_of_ours_or_a_network(
    seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    content = network_to_onnx(Network.create([4, 3, 2], biases=True, rng=1)).SerializeToString()
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        for _ in range(150):
            changed = bytearray(content)
            changed[rng.integers(len(content))] = rng.integers(256)
            with contextlib.suppress(BackqueryError):
                assert network_from_onnx(bytes(changed)).inputs >= 1
    assert capfd.readouterr() == ("", "")


class TestComparison:
    """What onnxruntime says has the last word."""

    @staticmethod
    def graph_of(network: Network) -> Graph:
        return Graph(network_to_onnx(network))

    def test_a_network_that_answers_otherwise_is_refused(self) -> None:
        other = Network.create([40, 30, 10], rng=2, biases=True)
        compare_with_runtime(NETWORK, self.graph_of(NETWORK), "m.onnx", raw=False)
        with pytest.raises(ModelError, match=r"m.onnx does not answer as the network made of it does"):
            compare_with_runtime(other, self.graph_of(NETWORK), "m.onnx", raw=False)

    @pytest.mark.reads("model", "ONNX where onnxruntime is not installed", "read, and one line says that it was "
                       "not compared")  # fmt: skip
    def test_where_it_is_not_installed_one_line_says_so(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        save_onnx(NETWORK, tmp_path / "m.onnx")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.warns(AssumptionWarning, match=r"m.onnx was not compared .*pip install 'backquery\[onnx\]'"):
            assert load_model(tmp_path / "m.onnx").sizes == NETWORK.sizes

    def test_what_it_cannot_run_is_said(self) -> None:
        model = network_to_onnx(NETWORK)
        model.opset_import[0].version = 1000
        with pytest.warns(
            AssumptionWarning,
            match="was not compared with its original, as onnxruntime cannot run it: .*ONNXRuntimeError",
        ):
            assert network_from_onnx(model.SerializeToString()).sizes == NETWORK.sizes

    @pytest.mark.parametrize("batch", [1, 5, "n"])
    @pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2, 1), (4,), ("h", "w"), (1, "h", "w"), ("inputs",)])
    def test_any_batch_and_shape_is_asked(self, batch: Any, shape: tuple[Any, ...]) -> None:
        nodes = [node("Flatten", "x", "f"), node("MatMul", "f w", "s"), node("Softmax", "s")]
        content = model_of(nodes, {"w": W}, (batch, *shape))
        assert network_from_onnx(content).sizes == (4, 3)
