"""Keras models of any layers: the same answers as Keras' own, live and from files, and nothing of a file run."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray

from backquery.errors import MissingExtraError, ModelError
from backquery.model import Network
from tests.needs import needs

needs("keras", "h5py", "torch")
os.environ.setdefault("KERAS_BACKEND", "torch")

import keras  # noqa: E402
from keras import layers  # noqa: E402

from backquery import back_query, from_keras, load_model  # noqa: E402
from backquery.io.torch import TorchModel  # noqa: E402

Array = NDArray[Any]
TOLERANCE = 1e-4
SIDE = 16

pytestmark = [
    pytest.mark.needs("keras", "h5py", "torch"),
    pytest.mark.filterwarnings("ignore:the model's pixels were taken to go:backquery.errors.AssumptionWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def xception(x: Any) -> Any:
    """fer's: separable convolutions, pools and residual sums."""
    x = layers.Conv2D(6, 3, use_bias=False)(layers.Rescaling(1 / 255)(x))
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    short = layers.BatchNormalization()(layers.Conv2D(8, 1, strides=2, padding="same", use_bias=False)(x))
    x = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2)(x)
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.BatchNormalization()(x))
    x = layers.Conv2D(5, 3, padding="same")(layers.add([x, short]))
    return layers.Activation("softmax")(layers.GlobalAveragePooling2D()(x))


def mobile(x: Any) -> Any:
    """By depth, squeezed and excited, as MobileNetV3 and EfficientNet are."""
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="swish")(x)
    y = layers.DepthwiseConv2D(5, padding="same", depth_multiplier=2, strides=2)(layers.ZeroPadding2D(1)(x))
    y = layers.Activation("hard_silu")(layers.BatchNormalization(scale=False)(y))
    weights = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, layers.Dense(16, activation="hard_sigmoid")(weights)])
    y = layers.Conv2D(8, 1, groups=2)(layers.ReLU(6.0)(y))
    return layers.Dense(5)(layers.Flatten()(layers.AveragePooling2D(2)(y)))


def attending(x: Any) -> Any:
    """A vision transformer, whose answers come out of a mean over the places."""
    x = layers.Reshape((16, 12))(layers.Conv2D(12, 4, strides=4)(x))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(3, 4)(y, y)])
        y = layers.Dense(24, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = layers.Add()([x, layers.Dropout(0.1)(layers.Dense(12)(y))])
    x = layers.MultiHeadAttention(2, 4, value_dim=3, use_bias=False)(x, value=x, key=layers.Dense(12)(x))
    return layers.Dense(5, activation="softmax")(layers.GlobalMaxPooling1D()(x))


def normalised(x: Any) -> Any:
    x = layers.Conv2D(8, 3)(layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x))
    x = layers.GroupNormalization(-1, epsilon=0.2)(layers.GroupNormalization(4, epsilon=0.1)(x))
    x = layers.LayerNormalization(axis=[1, 2, 3], epsilon=0.1)(x)
    x = layers.UnitNormalization()(layers.PReLU(shared_axes=[1, 2])(x))
    x = layers.LeakyReLU(negative_slope=0.2)(layers.ELU(0.5)(x))
    if hasattr(layers, "RMSNormalization"):  # of Keras 3.9
        x = layers.RMSNormalization(epsilon=0.1)(x)
    x = layers.BatchNormalization(axis=1)(layers.ReLU(2.0, 0.1, 0.05)(x))
    return layers.Dense(5)(layers.GlobalMaxPooling2D()(layers.Softmax(axis=[1, 2])(x)))


def scaled(x: Any) -> Any:
    """Up and down again."""
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    other = layers.UpSampling2D(2, interpolation="bilinear")(x)
    third = layers.Conv2DTranspose(4, 2, strides=3)(layers.UpSampling2D((1, 2))(x))
    third = layers.Resizing(32, 32)(layers.Cropping2D(((1, 2), (0, 3)))(third))
    x = layers.Concatenate()([up, other, third, layers.UpSampling2D(2)(x)])
    x = layers.Conv2D(4, 3, dilation_rate=2, padding="same")(layers.CenterCrop(20, 24)(x))
    x = layers.AveragePooling2D(3, 1, padding="same")(x)
    x = layers.SeparableConv1D(4, 3, padding="same")(layers.Reshape((-1, 4))(x))
    x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(layers.ZeroPadding1D((1, 0))(x))
    return layers.Dense(5)(layers.GlobalAveragePooling1D()(layers.Conv1DTranspose(3, 4)(x)))


def joined(x: Any) -> Any:
    """Models within, layers that are used twice, and functions between the layers."""
    inner = keras.Sequential([layers.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3), layers.Activation("tanh")])
    first, second = inner(x), inner(1.0 - x)
    within = keras.Input((SIDE - 2, SIDE - 2, 4))
    branch = keras.Model(within, layers.Average()([layers.Conv2D(4, 1)(within), within]))
    y = layers.Maximum()([layers.Subtract()([first, branch(second)]), second * 0.5])
    y = keras.ops.silu(keras.ops.mean(y, axis=[1, 2]))
    y = y / (keras.ops.sqrt(keras.ops.sum(keras.ops.square(y), axis=-1, keepdims=True)) + 1)
    return layers.Dense(5)(layers.Concatenate()([y, layers.Dot(axes=1)([y, y])]))


ACTIVATIONS = (
    "relu6", "elu", "selu", "celu", "softplus", "softsign", "silu", "gelu", "mish", "exponential", "hard_sigmoid",
    "hard_silu", "hard_tanh", "log_sigmoid", "tanh_shrink", "soft_shrink", "hard_shrink", "leaky_relu", "sigmoid",
    "tanh", "relu", "linear",
)  # fmt: skip


def activated(x: Any) -> Any:
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(x))
    parts = [layers.Dense(3, activation=name)(x) for name in ACTIVATIONS]
    return layers.Dense(5, activation="log_softmax")(layers.Concatenate()(parts))


def channels_first(x: Any) -> Any:
    """Of odd sides, so that none stands for another."""
    first = {"data_format": "channels_first"}
    x = layers.Permute((3, 1, 2))(layers.Cropping2D(((0, 0), (2, 3)))(x))
    x = layers.UpSampling2D((2, 1), **first)(layers.ZeroPadding2D(((1, 0), (0, 2)), **first)(x))
    x = layers.Conv2D(4, 3, strides=2, padding="same", **first)(layers.CenterCrop(31, 11, **first)(x))
    x = layers.MaxPooling2D(2, **first)(layers.Cropping2D(((0, 1), (1, 0)), **first)(x))
    y = layers.GlobalAveragePooling2D(**first)(layers.Conv2DTranspose(3, 2, **first)(x))
    return layers.Dense(5)(layers.Concatenate()([layers.Flatten(**first)(x), y]))


CALLED = (
    "absolute", "negative", "square", "sqrt", "rsqrt", "exp", "log", "sin", "cos", "tanh", "relu", "relu6",
    "sigmoid", "silu", "softplus", "softmax", "selu",
)  # fmt: skip


def called(x: Any) -> Any:
    """Functions of `keras.ops` in the place of layers."""
    ops = keras.ops
    x = ops.maximum(ops.abs(layers.Dense(3)(ops.max(ops.minimum(x, 0.9), axis=[1, 2]))), 0.01)
    parts = [getattr(ops, name)(x) for name in CALLED]
    parts += [ops.gelu(x, approximate=False), x**2.0, ops.min(x, axis=-1, keepdims=True), 1.0 - x, x * 2.0]
    return layers.Dense(5)(layers.Concatenate()(parts))


MODELS: dict[str, Callable[[Any], Any]] = {
    "xception": xception,
    "mobile": mobile,
    "attending": attending,
    "normalised": normalised,
    "scaled": scaled,
    "joined": joined,
    "channels first": channels_first,
    "called": called,
    "activated": activated,
}


def made(name: str) -> Any:
    """A model of this name, whose numbers are none that layers begin with."""
    keras.utils.set_random_seed(1)
    given = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(given, MODELS[name](given))
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            rng.uniform(0.5, 2, w.shape) if "var" in w.path or "gamma" in w.path else rng.normal(0, 0.4, w.shape)
            for w in model.weights
        ]
    )
    return model


def assert_answers_as(model: Any, original: Any, logits: bool = True) -> None:
    x = np.random.default_rng(3).uniform(size=(6, SIDE, SIDE, 3)).astype("float32")
    told = np.asarray(keras.ops.convert_to_numpy(original(x, training=False)), np.float64)
    expected = np.exp(told - told.max(1, keepdims=True)) if logits else told
    answers = model.query(x.reshape(6, -1))
    np.testing.assert_allclose(answers, expected / expected.sum(1, keepdims=True), atol=TOLERANCE)


@pytest.mark.reads("model", "Keras: convolutions of every kind, pools, norms, attention, sums and other joints, "
                   "models and layers used twice, live and in files",
                   "what `from_torch` makes, as PyTorch is there; compared with Keras")  # fmt: skip
@pytest.mark.parametrize("name", MODELS)
def test_live_and_from_a_file(name: str, tmp_path: Path) -> None:
    original = made(name)
    original.save(tmp_path / "m.keras")
    logits = name not in ("xception", "attending")
    for model in (from_keras(original), load_model(tmp_path / "m.keras")):
        assert isinstance(model, TorchModel) and model.input_shape == (SIDE, SIDE, 3)
        assert_answers_as(model, original, logits)


@pytest.mark.parametrize("name", ["xception", "attending", "normalised"])
def test_a_whole_model_in_one_hdf5_file(name: str, tmp_path: Path) -> None:
    original = made(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original.save(tmp_path / "m.h5")
    assert_answers_as(load_model(tmp_path / "m.h5"), original, logits=name == "normalised")


def test_it_is_asked_backwards_from_a_file(tmp_path: Path) -> None:
    made("xception").save(tmp_path / "m.keras")
    model = load_model(tmp_path / "m.keras")
    assert model.scaling is not None and model.scaling.maximum == 255
    answers = model.query(np.random.default_rng(1).uniform(0, 255, (1, model.inputs)))
    scan = back_query(model, answers, prior="smooth")
    np.testing.assert_allclose(model.query(scan.images), answers, atol=1e-3)


def test_a_chain_of_dense_layers_is_still_a_network(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 4)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.save(tmp_path / "m.keras")
    assert isinstance(from_keras(model), Network)
    assert isinstance(load_model(tmp_path / "m.keras"), Network)


@keras.saving.register_keras_serializable()
class Own(layers.Layer):
    def call(self, x: Any) -> Any:
        return x + 1


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            lambda: layers.Lambda(lambda x: x * 2),
            r"\(Lambda\): it holds Python code, which is not run",
        ),
        (lambda: Own(), r"\(Own\): it is somebody's own code, which is not run"),
        (lambda: layers.ConvLSTM1D(2, 3), r"\(ConvLSTM1D\): it is not understood"),
    ],
)
def test_what_is_not_understood_is_named_and_not_run(layer: Callable[[], Any], words: str, tmp_path: Path) -> None:
    odd = layer()
    odd.name = "odd"
    x = keras.Input((8, 8, 3))
    y = odd(layers.Reshape((2, 4, 8 * 3))(layers.Conv2D(3, 1)(x)))
    keras.Model(x, layers.Dense(2)(layers.Flatten()(y))).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=f"the layer odd {words}"):
        load_model(tmp_path / "m.keras")


def rewritten(path: Path, change: Callable[[Any], None]) -> None:
    """The archive with another configuration."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with ZipFile(path, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, content)


def test_a_file_cannot_have_anything_imported(tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('it was imported')")
    made("xception").save(tmp_path / "m.keras")

    def hostile(config: Any) -> None:
        layer = config["config"]["layers"][2]
        assert layer["class_name"] == "Conv2D"
        layer.update(module="trap", registered_name="Conv2D")

    rewritten(tmp_path / "m.keras", hostile)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ModelError, match="somebody's own code"):
            load_model(tmp_path / "m.keras")
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda layer: layer["config"].update(groups={"a": 1}), "its groups is"),
        (lambda layer: layer["config"].update(activation="print"), "its activation 'print' is not known"),
        (lambda layer: layer["config"].update(padding="everywhere"), "its padding is 'everywhere'"),
        (lambda layer: layer["inbound_nodes"].clear(), "is not called as often as is said"),
    ],
)
def test_settings_that_make_no_sense_are_told(change: Callable[[Any], None], words: str, tmp_path: Path) -> None:
    made("xception").save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", lambda config: change(config["config"]["layers"][2]))
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m.keras")


def test_layers_in_a_circle_are_refused(tmp_path: Path) -> None:
    made("xception").save(tmp_path / "m.keras")

    def turn(config: Any) -> None:
        first, later = config["config"]["layers"][1], config["config"]["layers"][3]
        first["inbound_nodes"][0]["args"] = [
            {"class_name": "__keras_tensor__", "config": {"keras_history": [later["name"], 0, 0]}}
        ]

    rewritten(tmp_path / "m.keras", turn)
    with pytest.raises(ModelError, match="circle"):
        load_model(tmp_path / "m.keras")


def test_without_pytorch_the_command_that_brings_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made("mobile").save(tmp_path / "m.keras")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'backquery\[torch\]'"):
        load_model(tmp_path / "m.keras")
