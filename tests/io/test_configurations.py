"""What Keras' configurations and ONNX' constants may say that makes no network, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from backquery.errors import ModelError
from backquery.io.keras_config import steps_of
from backquery.io.onnx_constants import computed, constant


def functional(*layers: dict[str, Any], outputs: Any) -> dict[str, Any]:
    return {
        "class_name": "Functional",
        "module": "keras",
        "config": {"layers": list(layers), "output_layers": outputs},
    }


def layer(name: str, kind: str, *sources: str, **more: Any) -> dict[str, Any]:
    calls = [[[source, 0, 0, {}] for source in sources]]
    return {"class_name": kind, "module": "keras.layers", "config": {"name": name}, "inbound_nodes": calls} | more


INPUT = layer("in", "InputLayer")


def test_one_chain_is_followed_from_its_end() -> None:
    config = functional(
        INPUT, layer("a", "Dense", "in"), layer("b", "Dense", "a"), outputs={"answer": ["b", 0, 0]}
    )
    assert [step.names for step in steps_of(config)] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([layer("b", "Dense", "nowhere")], "speaks of a layer nowhere, which it does not have"),
        ([layer("b", "Dense", "a"), layer("a", "Dense", "b")], "its layers form a circle"),
        ([layer("b", "Dense", "in", inbound_nodes=[1, 2])], "the layer b is used more than once"),
        (
            [layer("a", "Dense", "in"), layer("b", "Add", "a", "in")],
            r"b \(Add\) would come from several",
        ),
    ],
)
def test_what_is_no_chain_is_said(layers: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        steps_of(functional(INPUT, *layers, outputs=["b", 0, 0]))


def test_several_answers_are_no_chain_s() -> None:
    with pytest.raises(ModelError, match="the model's answers would come from several"):
        steps_of(functional(INPUT, layer("b", "Dense", "in"), outputs=[["in", 0, 0], ["b", 0, 0]]))


@pytest.mark.parametrize("given", [None, [1], [{"config": {"dtype": "float32"}}, 2, 3]])
def test_arithmetic_on_anything_but_signals_and_a_number_is_not_read_as_scaling(given: Any) -> None:
    bare = {
        "class_name": "TrueDivide", "module": "keras.src.ops.numpy", "config": {"name": "b"},
        "inbound_nodes": [{"args": given, "kwargs": {}}],
    }  # fmt: skip
    sequential = {"class_name": "Sequential", "module": "keras", "config": {"layers": [INPUT, bare]}}
    assert [step.kind for step in steps_of(sequential)] == ["keras.ops.TrueDivide"]


def told(settings: Mapping[str, Any]) -> Any:
    return lambda name, usual=None: settings.get(name, usual)


NUMBERS = np.arange(6.0).reshape(2, 3)


@pytest.mark.needs("onnx")
@pytest.mark.parametrize(
    ("kind", "given", "settings", "expected"),
    [
        ("Identity", [NUMBERS], {}, NUMBERS),
        ("Cast", [NUMBERS], {"to": 7}, NUMBERS.astype(np.int64)),
        ("Transpose", [NUMBERS], {"perm": [1, 0]}, NUMBERS.T),
        ("Reshape", [NUMBERS, np.array([0, -1, 1])], {}, NUMBERS.reshape(2, 3, 1)),
        ("Div", [np.array([7, -7]), np.array([2, 2])], {}, np.array([3, -3])),
        ("Div", [NUMBERS, np.array(2.0)], {}, NUMBERS / 2),
        ("Concat", [np.array(1), np.array([2, 3])], {}, np.array([1, 2, 3])),
        ("Gather", [np.array([5, 6, 7]), np.array(2)], {}, np.array(7)),
        ("Slice", [np.arange(5)], {"starts": [1], "ends": [4]}, np.array([1, 2, 3])),
        (
            "Slice",
            [np.arange(5), np.array([0]), np.array([5]), np.array([0]), np.array([2])],
            {},
            np.array([0, 2, 4]),
        ),
        ("ReduceProd", [np.array([2, 3])], {}, np.array([6])),
        ("ReduceProd", [np.array([2, 3])], {"keepdims": 0}, np.array(6)),
        ("Unsqueeze", [np.array(3)], {}, np.array([3])),
        ("Squeeze", [np.array([[3]])], {}, np.array(3)),
    ],
)
def test_constants_are_computed_as_onnx_says(
    kind: str, given: list[np.ndarray], settings: dict[str, Any], expected: np.ndarray
) -> None:
    made = computed(kind, given, told(settings))
    np.testing.assert_array_equal(made, expected)
    assert made.shape == expected.shape and made.dtype.kind == expected.dtype.kind


@pytest.mark.needs("onnx")
@pytest.mark.parametrize(
    ("kind", "given", "settings", "message"),
    [
        ("Div", [np.array([1]), np.array([0])], {}, "it divides by zero"),
        ("Cast", [NUMBERS], {"to": 999}, "the operator Cast, to the unknown type 999"),
        ("Sin", [NUMBERS], {}, "it stopped at the operator Sin, which computes a constant in an unknown way"),
    ],
)
def test_constants_that_cannot_be_computed_are_said(
    kind: str, given: list[np.ndarray], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        computed(kind, given, told(settings))


@pytest.mark.needs("onnx")
def test_an_operator_constant_holds_numbers_of_some_kind() -> None:
    from onnx import TensorProto, numpy_helper

    np.testing.assert_array_equal(constant(told({"value_floats": [1.5, 2.0]})), [1.5, 2.0])
    np.testing.assert_array_equal(constant(told({"value_int": 3})), 3)
    np.testing.assert_array_equal(constant(told({"value": numpy_helper.from_array(NUMBERS)})), NUMBERS)
    with pytest.raises(ModelError, match="which holds no plain numbers"):
        constant(told({}))
    with pytest.raises(ModelError, match="odd holds no plain numbers"):
        constant(told({"value": TensorProto(name="odd", data_type=TensorProto.STRING)}))
    short = TensorProto(name="short", data_type=TensorProto.FLOAT, dims=[4], raw_data=b"1234")
    with pytest.raises(ModelError, match="short does not hold as many numbers as its shape says"):
        constant(told({"value": short}))
