"""Keras: the same answers there and here, from live models and from files that are never run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from backquery.errors import AssumptionWarning, ModelError
from backquery.files import user_cache
from backquery.io import foreign, keras_comparison, load_model
from backquery.io.chain import Chain
from backquery.io.h5_attribute import text_attribute
from backquery.io.keras import load_keras, network_from_keras, network_to_keras, save_keras
from backquery.model.activations import SIGMOID
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from tests.io.chains import assert_described_alike, inputs_for, networks

TOLERANCE = 1e-5

# Keras' PyTorch backend turns tensors into arrays in a way that NumPy 2 warns about, and softmax of a single node,
# which is drawn now and then, is something that Keras itself warns about.
pytestmark = [
    pytest.mark.needs("keras", "h5py", "torch"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning"),
]


@pytest.fixture(autouse=True)
def _keras(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def answers(model: Any, x: NDArray[Any]) -> NDArray[Any]:
    return plain(model(x.reshape(len(x), *model.input_shape[1:]), training=False))


def plain(given: Any) -> NDArray[Any]:
    """The one output that Keras gives, alone or wrapped."""
    (tensor,) = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
    return np.asarray((tensor if tensor.element_size() > 2 else tensor.float()).detach())


def sequential(*layers: Any, shape: tuple[int, ...] = (4, 4)) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input(shape), *layers])


def both_ways(model: Any, folder: Path, *, h5: bool = True, **choice: Any) -> list[Network]:
    """The network from the live model, and from its files."""
    model.save(folder / "model.keras")
    if h5:
        model.save(folder / "model.h5")
    names = ("model.keras", "model.h5") if h5 else ("model.keras",)
    files = [load_keras(folder / name, **choice) for name in names]
    return [network_from_keras(model, **choice), *files]


def chains() -> dict[str, Callable[[], Any]]:
    from keras import layers as L  # noqa: N812

    return {
        "the usual": lambda: sequential(
            L.Flatten(), L.Dense(5, activation="relu"), L.Dropout(0.5), L.Dense(3, activation="softmax")
        ),
        "activations apart": lambda: sequential(
            L.Flatten(), L.Dense(6), L.ReLU(), L.Dense(5), L.LeakyReLU(), L.Dense(4),
            L.ReLU(negative_slope=0.2), L.Dense(4), L.Activation("tanh"), L.Dense(3), L.Softmax(),
        ),
        "an activation that is a layer": lambda: sequential(
            L.Flatten(), L.Dense(5, activation=L.LeakyReLU(negative_slope=0.01)),
            L.Dense(4, activation="leaky_relu"), L.Dense(3, activation="sigmoid"),
        ),
        "no biases": lambda: sequential(
            L.Reshape((16,)), L.Dense(5, activation="sigmoid", use_bias=False), L.Dense(3, activation="softmax")
        ),
        "rescaled first": lambda: sequential(
            L.Rescaling(1 / 255), L.Flatten(), L.Dense(5, activation="tanh"), L.Dense(3, activation="softmax")
        ),
        "rescaled between": lambda: sequential(
            L.Flatten(), L.Dense(5), L.Rescaling(2.0, offset=-1.0), L.Activation("relu"),
            L.Rescaling(0.5, offset=0.25), L.Dense(3, activation="softmax"),
        ),
        "named by hand": lambda: sequential(
            L.Flatten(name="dense_1"), L.Dense(5, name="dense_7"), L.Dense(3, activation="softmax", name="dense")
        ),
    }  # fmt: skip


def adapted(images: NDArray[Any], **settings: Any) -> Any:
    from keras import layers as L  # noqa: N812

    layer = L.Normalization(**settings)
    layer.adapt(images)
    return layer


def trained(model: Any) -> Any:
    """The model with numbers as after training wherever it normalises."""
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([rng.uniform(0.5, 2, values.shape) for values in layer.get_weights()])
    return model


def reads(name: str, what: str, becomes: str) -> Any:
    return pytest.param(name, id=name, marks=pytest.mark.reads("model", what, becomes))


SEQUENTIAL = [
    reads(
        "the usual", "Keras: `Flatten`, `Dense`, `Dropout` and noise, live and in a `.keras` file",
        "a network of the same answers",
    ),
    reads(
        "activations apart", "Keras: `ReLU` and `LeakyReLU` of any slope, as layers and by name",
        "activations of that slope",
    ),
    "an activation that is a layer",
    "no biases",
    reads("rescaled first", "Keras: `Rescaling`, by a number or one for each colour", "folded into the weights"),
    "rescaled between",
    "named by hand",
    reads(
        "channels first", "Keras: `Flatten` with `channels_first`, `Permute`, `Reshape`",
        "the weights are put in that order, exactly",
    ),
    "permuted between",
    "permuted and rescaled",
    reads(
        "batch normalization", "Keras: `BatchNormalization` before, between and after dense layers",
        "folded into the weights, as it answers outside training",
    ),
    "batch normalization of colours",
    reads(
        "normalization", "Keras: `Normalization`, adapted or told its mean and variance",
        "folded into the first weights",
    ),
    "normalization told",
    "normalization turned round",
    reads(
        "nested", "Keras: a `Sequential` or functional model among the layers of another",
        "its layers, one after the other",
    ),
    reads(
        "augmented", "Keras: augmentation (`RandomFlip`, `RandomRotation`, `RandomZoom` and their kin)",
        "left out, as it rests outside training",
    ),
    reads("log-probabilities", "Keras: `log_softmax`", "their softmax, the probabilities"),
    reads("independent sigmoids", "Keras: several answers by sigmoid", "independent answers, each by its sigmoid"),
]  # fmt: skip


def more_chains() -> dict[str, Callable[[], Any]]:
    import keras
    from keras import layers as L  # noqa: N812

    images = np.random.default_rng(0).normal(3, 2, (40, 4, 4, 3))
    answer = {"activation": "softmax"}

    def coloured(*layers: Any) -> Any:
        return sequential(*layers, shape=(4, 4, 3))

    return {
        "channels first": lambda: coloured(L.Flatten(data_format="channels_first"), L.Dense(3, **answer)),
        "permuted between": lambda: sequential(
            L.Permute((2, 1)), L.Flatten(), L.Dense(6), L.Reshape((2, 3)), L.Permute((2, 1)), L.Activation("relu"),
            L.Reshape((3, -1)), L.Flatten(data_format="channels_first"), L.Dense(6, activation="tanh"),
            L.Reshape((2, 3)), L.Permute((2, 1)), L.Flatten(), L.Dense(3, **answer),
        ),
        "permuted and rescaled": lambda: coloured(
            L.Rescaling([0.5, 1.0, 2.0], offset=[1.0, 0.0, -1.0]), L.Permute((3, 1, 2)),
            L.Rescaling(3.0), L.Permute((2, 1, 3)), L.Flatten(data_format="channels_first"), L.Dense(3, **answer),
        ),
        "batch normalization": lambda: trained(sequential(
            L.Flatten(), L.BatchNormalization(scale=False), L.Dense(6, use_bias=False), L.BatchNormalization(),
            L.ReLU(), L.BatchNormalization(center=False, epsilon=0.1), L.Dense(3), L.BatchNormalization(axis=1),
            L.Softmax(),
        )),
        "batch normalization of colours": lambda: trained(coloured(
            L.BatchNormalization(), L.BatchNormalization(axis=1), L.Flatten(), L.Dense(3, **answer)
        )),
        "normalization": lambda: coloured(adapted(images), L.Flatten(), L.Dense(3, **answer)),
        "normalization told": lambda: coloured(
            L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 0.0, 4.0]), L.Rescaling(1e-7),
            L.Normalization(axis=None, mean=0.5, variance=4.0), L.Normalization(axis=(1, 3), mean=np.ones((4, 3)),
            variance=np.full((4, 3), 2.0)), L.Flatten(), L.Dense(3, **answer),
        ),
        "normalization turned round": lambda: coloured(
            adapted(images, axis=(1, 2), invert=True), adapted(images, axis=None), L.Flatten(),
            L.Dense(3, **answer),
        ),
        "nested": lambda: sequential(
            keras.Sequential([L.Rescaling(0.5), keras.Sequential([L.Flatten(), L.Dense(6)])]),
            keras.Sequential([keras.Input((6,)), L.ReLU(), L.Dense(5)]), L.Dense(4), L.Activation("tanh"),
            keras.Sequential([L.Dense(3, **answer)]),
        ),
        "augmented": lambda: coloured(
            keras.Sequential([L.RandomFlip(), L.RandomRotation(0.2), L.RandomZoom(0.2)]),
            L.RandomTranslation(0.2, 0.2), L.RandomContrast(0.3), L.RandomBrightness(0.3), L.GaussianNoise(0.3),
            L.Flatten(), L.AlphaDropout(0.2), L.Dense(3, **answer),
        ),
        "log-probabilities": lambda: sequential(L.Flatten(), L.Dense(3, activation="log_softmax")),
        "independent sigmoids": lambda: sequential(L.Flatten(), L.Dense(10, activation="sigmoid")),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:the model's pixels were taken to go:backquery.errors.AssumptionWarning")
@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_chains(name: str, tmp_path: Path) -> None:
    model = {**chains(), **more_chains()}[name]()
    # Keras itself cannot write augmentation into an .h5 file.
    for network in both_ways(model, tmp_path, h5=name != "augmented"):
        x = inputs_for(network)
        given = answers(model, x)
        expected = np.exp(given) if name == "log-probabilities" else given
        np.testing.assert_allclose(network.query(x), expected, atol=TOLERANCE, rtol=TOLERANCE)
        assert network.input_shape == model.input_shape[1:]
        assert network.dtype == np.float32


def test_independent_sigmoids_need_not_add_up_to_one(tmp_path: Path) -> None:
    for network in both_ways(more_chains()["independent sigmoids"](), tmp_path):
        assert network.output_activation is SIGMOID and network.outputs == 10
        assert abs(network.query(inputs_for(network)).sum(axis=1) - 1).max() > 1


@pytest.mark.reads("model", "Keras: one input and one output in a dict or a list", "what is in it")
@pytest.mark.parametrize("wrap", [lambda x: {"only": x}, lambda x: [x]], ids=["dict", "list"])
def test_one_input_and_one_output_may_be_wrapped(wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    keras.utils.set_random_seed(2)
    image = keras.Input((4, 4), name="only")
    body = keras.Model(image, L.Dense(4, activation="relu")(L.Flatten()(image)))
    again = keras.Input((4, 4), name="only")
    model = keras.Model(wrap(again), wrap(L.Dense(3, activation="softmax", name="only_answer")(body(again))))
    model.save(tmp_path / "model.keras")
    for network in (network_from_keras(model), load_keras(tmp_path / "model.keras")):
        x = inputs_for(network)
        given = plain(model(wrap(x.reshape(-1, 4, 4)), training=False))
        np.testing.assert_allclose(network.query(x), given, atol=TOLERANCE)


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "bfloat16"])
def test_models_of_other_precision(dtype: str) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    keras.utils.set_random_seed(1)
    layers = [L.Flatten(dtype=dtype), L.Dense(5, "tanh", dtype=dtype), L.Dense(3, "softmax", dtype=dtype)]
    model = keras.Sequential([keras.Input((4, 4), dtype="float64" if dtype == "float64" else None), *layers])
    network = network_from_keras(model)
    x = inputs_for(network)
    # Keras rounds products of float64 matrices to float32, and machines differ in how they add these up.
    atol = {"float64": 1e-6, "mixed_float16": 5e-3, "bfloat16": 5e-2}[dtype]
    np.testing.assert_allclose(network.query(x), answers(model, x).astype(float), atol=atol)
    if dtype == "float64":
        first, shift, second, last = (plain(weights.value) for weights in model.weights)
        powers = np.exp(np.tanh(x @ first + shift) @ second + last)
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(network.query(x), expected, rtol=0, atol=1e-12)


@pytest.mark.reads("model", 'Keras: whole pixels (`Input(dtype="uint8")`)', "compared on whole numbers")
def test_a_model_of_whole_pixels_is_asked_about_whole_pixels(tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    keras.utils.set_random_seed(1)
    layers = [L.Rescaling(1 / 255), L.Flatten(), L.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((4, 4), dtype="uint8"), *layers])
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype("uint8")
    for network in both_ways(model, tmp_path):
        np.testing.assert_allclose(network.query_images(pixels), answers(model, pixels), atol=TOLERANCE)


class TestComparison:
    """No model is used before it was asked the same as its original."""

    @pytest.fixture
    def model(self) -> Any:
        from keras import layers as L  # noqa: N812

        return trained(sequential(L.Flatten(), L.Dense(5), L.BatchNormalization(), L.ReLU(), L.Dropout(0.5),
                                  L.Dense(3, activation="softmax")))  # fmt: skip

    @pytest.fixture
    def path(self, model: Any, tmp_path: Path) -> Path:
        model.save(tmp_path / "model.keras")
        return tmp_path / "model.keras"

    def test_a_live_model_stays_as_it_was(self, model: Any) -> None:
        model.trainable = False
        before = [np.array(values) for values in model.get_weights()]
        states = [(layer.name, layer.trainable, layer.built) for layer in model.layers]
        mode = model.training if hasattr(model, "training") else None
        seed = next(layer for layer in model.layers if "drop" in layer.name).seed_generator.state
        drawn = seed.numpy().tolist()
        network_from_keras(model)
        assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
        assert states == [(layer.name, layer.trainable, layer.built) for layer in model.layers]
        assert mode == (model.training if hasattr(model, "training") else None)
        assert drawn == seed.numpy().tolist()

    def test_a_live_model_that_does_something_else_is_refused(self, model: Any) -> None:
        inner = model.layers[1].call
        model.layers[1].call = lambda x, **_: inner(x) * 1.01
        with pytest.raises(ModelError, match=r"the Keras model does not answer as the network .* differ by up to"):
            network_from_keras(model)

    def test_a_file_read_wrongly_is_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Chain, "rescale", lambda *_: None)
        with pytest.raises(ModelError, match="its Keras model does not answer as the network made of it does"):
            load_keras(path)

    def test_opening_a_file_leaves_names_and_random_numbers_alone(self, path: Path) -> None:
        import random

        import keras

        random.seed(1)
        before = random.getstate(), keras.layers.Dense(1).name
        load_keras(path)
        counted = int(before[1].rpartition("_")[2]) + 1 if "_" in before[1] else 1
        assert keras.layers.Dense(1).name == f"dense_{counted}"
        random.seed(1)
        load_keras(path.rename(path.with_name("again.keras")))
        assert random.getstate() == before[0]

    def test_only_the_first_opening_loads_keras(self, path: Path) -> None:
        program = (
            "import sys; from backquery.io.keras import load_keras; "
            f"load_keras({str(path)!r}); print(*[m for m in ('keras', 'torch') if m in sys.modules])"
        )
        said = [
            subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
            for _ in range(2)
        ]
        assert said[0].split() == ["keras", "torch"] and not said[1].strip()

    def test_changed_numbers_and_other_questions_are_compared_again(self, path: Path, cache: Path) -> None:
        load_keras(path)
        load_keras(path)
        assert len(list(cache.iterdir())) == 1
        load_keras(path, scaling=Scaling.unit(16))
        load_keras(path, scaling=Scaling(1, 0, 16))
        assert len(list(cache.iterdir())) == 2

    def test_no_more_than_some_files_are_remembered(
        self, path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keras_comparison, "MARKERS", 3)
        cache.mkdir(parents=True)
        for age in range(5):
            (cache / f"old{age}").touch()
            os.utime(cache / f"old{age}", (age, age))
        load_keras(path)
        assert len(list(cache.iterdir())) == 3 and not (cache / "old0").exists()

    def test_a_cache_that_cannot_be_written_changes_nothing(self, path: Path, cache: Path) -> None:
        cache.parent.mkdir(parents=True)
        cache.write_text("in the way")
        assert load_keras(path).sizes == (16, 5, 3)

    @pytest.fixture
    def cache(self) -> Path:
        folder = user_cache()
        assert folder is not None
        return folder / "compared"

    @pytest.mark.reads(
        "model",
        "a file of Keras where Keras is missing or has no backend",
        "read, and one line says: not compared",
    )
    @pytest.mark.parametrize(("backend", "said"), [("nowhere", "cannot start"), (None, "pip install")])
    def test_without_keras_one_line_says_that_nothing_was_compared(
        self, path: Path, backend: str | None, said: str
    ) -> None:
        missing = "import importlib.metadata as m\ndef gone(_): raise m.PackageNotFoundError\nm.version = gone\n"
        program = (
            f"{'' if backend else missing}from backquery.io.keras import load_keras\nload_keras({str(path)!r})"
        )
        environment = os.environ | {"KERAS_BACKEND": backend or ""}
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert told.returncode == 0 and "was not compared with its original" in told.stderr and said in told.stderr


@pytest.mark.filterwarnings("ignore:the model's pixels were taken to go:backquery.errors.AssumptionWarning")
class TestKeras2:
    """Files of Keras 2, which Keras 3 itself does not open."""

    FOLDER = Path(__file__).parent / "keras2"

    @pytest.mark.reads(
        "model", "`.keras` of Keras 2 (TensorFlow 2.12 to 2.15), Sequential and functional", "as those of Keras 3"
    )
    def test_a_file_that_keras_2_wrote_answers_as_it_did(self) -> None:
        network, asked = load_keras(self.FOLDER / "model.keras"), np.load(self.FOLDER / "asked.npz")
        np.testing.assert_allclose(network.query(asked["images"].reshape(5, -1)), asked["answers"], atol=1e-6)
        assert [layer.activation.name for layer in network.layers] == [
            "leaky-relu:0.2",
            "leaky-relu:0.1",
            "softmax",
        ]

    @pytest.mark.reads("model", "a whole Keras model in one `.h5` or `.hdf5` file", "as a `.keras` file")
    def test_an_h5_file_that_keras_2_wrote_answers_as_it_did(self) -> None:
        network, asked = load_model(self.FOLDER / "model.h5"), np.load(self.FOLDER / "asked.npz")
        np.testing.assert_allclose(network.query(asked["images"].reshape(5, -1)), asked["answers"], atol=1e-6)

    def test_the_command_line_takes_it(self, run: Any, tmp_path: Path) -> None:
        code, out, err = run("info", self.FOLDER / "model.h5")
        assert code == 0 and "a Keras model" in out and "leaky-relu:0.2" in out, err
        code, _, err = run("convert", self.FOLDER / "model.h5", tmp_path / "model.safetensors")
        assert code == 0 and load_model(tmp_path / "model.safetensors").sizes == (48, 6, 5, 3), err
        code, _, err = run("convert", "mnist", tmp_path / "mnist.h5")
        assert code and "no model can be written as mnist.h5" in err

    @pytest.mark.parametrize("container", ["layers", "_layer_checkpoint_dependencies"])
    @pytest.mark.parametrize("functional", [True, False])
    def test_the_forms_of_every_release(self, container: str, functional: bool, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=shape).astype("float32") for shape in ((16, 5), (5,), (5, 3), (3,))]
        path = self.written(tmp_path, arrays, container, functional)
        x = rng.random((7, 16), "float32")
        hidden = np.maximum(x @ arrays[0] + arrays[1], 0)
        powers = np.exp(hidden @ arrays[2] + arrays[3])
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(load_keras(path).query(x), expected, atol=1e-6)

    @staticmethod
    def written(
        folder: Path, arrays: list[NDArray[Any]], container: str, functional: bool, options: Any = None
    ) -> Path:
        import h5py

        def entry(kind: str, name: str, *source: str, **settings: Any) -> dict[str, Any]:
            called = {"name": name, "inbound_nodes": [[[*source, 0, 0, options or {}]]] if source else []}
            made = {"module": "keras.layers", "class_name": kind, "config": {"name": name, **settings}}
            return made | (called if functional else {})

        layers = [
            entry("InputLayer", "input_1", batch_input_shape=[None, 4, 4]),
            entry("Flatten", "flatten", "input_1", data_format="channels_last"),
            entry("Dense", "dense", "flatten", units=5, activation="relu", use_bias=True),
            entry("Dense", "dense_1", "dense", units=3, activation="softmax", use_bias=True),
        ]
        ends = {"input_layers": [["input_1", 0, 0]], "output_layers": [["dense_1", 0, 0]]} if functional else {}
        kind = {"module": "keras.src.engine.functional", "class_name": "Functional"} if functional else {
            "module": "keras", "class_name": "Sequential"
        }  # fmt: skip
        config = kind | {"config": {"name": "model", "layers": layers} | ends}
        content = BytesIO()
        with h5py.File(content, "w") as file:
            for number, values in enumerate(arrays):
                file[f"{container}/dense{'_1' if number > 1 else ''}/vars/{number % 2}"] = values
        with ZipFile(folder / "old.keras", "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", content.getvalue())
        return folder / "old.keras"

    def test_what_a_layer_is_called_with_is_not_overlooked(self, tmp_path: Path) -> None:
        arrays = [np.ones(shape, "float32") for shape in ((16, 5), (5,), (5, 3), (3,))]
        told = {"training": False, "mask": None}
        assert load_keras(self.written(tmp_path, arrays, "layers", True, told)).sizes == (16, 5, 3)
        with pytest.raises(ModelError, match=r"dense_1 \(Dense\) is called with training=True"):
            load_keras(self.written(tmp_path, arrays, "layers", True, {"training": True}))


def test_dropout_that_never_rests_is_refused(tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    image = keras.Input((4,))
    model = keras.Model(image, L.Dense(3)(L.Dropout(0.5, name="always")(image, training=True)))
    model.save(tmp_path / "model.keras")
    for read in (lambda: network_from_keras(model), lambda: load_keras(tmp_path / "model.keras")):
        with pytest.raises(ModelError, match=r"always \(Dropout\) is called with training=True"):
            read()


@pytest.mark.reads(
    "model", "Keras: a subclassed model, live or in a file", "refused: build it as Sequential or functional"
)
def test_a_subclassed_model_is_told_what_it_is(tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    class Mine(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    model = Mine()
    model(np.zeros((1, 4), "float32"))
    model.save(tmp_path / "model.keras")
    for read in (lambda: network_from_keras(model), lambda: load_keras(tmp_path / "model.keras")):
        with pytest.raises(
            ModelError, match=r"the model Mine is a class of somebody's own \(subclassed\).*Sequential"
        ):
            read()


def test_functional_chains_are_followed_through_their_connections(tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    keras.utils.set_random_seed(2)
    image = keras.Input((4, 4))
    hidden = L.Dense(5, activation="tanh", name="used")(L.Flatten()(image))
    L.Dense(9)(hidden)
    model = keras.Model(image, L.Dense(3, activation="softmax")(L.Dropout(0.1)(hidden)))
    for network in both_ways(model, tmp_path):
        x = inputs_for(network)
        np.testing.assert_allclose(network.query(x), answers(model, x), atol=TOLERANCE)


def test_a_trained_model_brings_its_optimizer_and_is_read_all_the_same(tmp_path: Path) -> None:
    from keras import layers as L  # noqa: N812

    model = sequential(L.Flatten(), L.Dense(5, activation="relu"), L.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    model.fit(random.normal(size=(32, 4, 4)), random.integers(0, 3, 32), verbose=0)
    for network in both_ways(model, tmp_path):
        x = inputs_for(network)
        np.testing.assert_allclose(network.query(x), answers(model, x), atol=TOLERANCE)


def test_a_model_that_rescales_first_takes_raw_pixels(tmp_path: Path) -> None:
    from keras import layers as L  # noqa: N812

    model = sequential(L.Rescaling(1 / 127.5, offset=-1.0), L.Flatten(), L.Dense(3, activation="softmax"))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4))
    for network in both_ways(model, tmp_path):
        assert network.scaling == Scaling(1.0, 0.0, 255.0)
        raw = answers(model, pixels.astype("float32"))
        np.testing.assert_allclose(network.query_images(pixels), raw, atol=TOLERANCE)


BARE = {
    "x / 255": (lambda x: x / 255, 255),
    "x / 127.5 - 1": (lambda x: x / 127.5 - 1, 255),
    "standardised": (lambda x: (x / 255 - 0.1307) / 0.3081, 255),
    "turned": (lambda x: (255 - x) / 255, 255),
    "2 x": (lambda x: 0.5 + x * 2, None),
}


@pytest.mark.reads(
    "model",
    "Keras: `x / 255`, `1 - x`, `keras.ops.relu` between the layers of a functional model",
    "as layers are",
)
@pytest.mark.parametrize("name", BARE)
def test_arithmetic_between_layers_is_understood(name: str, tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    change, full = BARE[name]
    inputs = keras.Input((4, 3))
    hidden = keras.ops.relu(L.Dense(5)(L.Flatten()(change(inputs))))
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(hidden))
    scaling = Scaling(1.0, 0.0, full) if full else None
    assert network_from_keras(model).scaling == scaling
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"m{suffix}")
        network = load_model(tmp_path / f"m{suffix}")
        assert network.scaling == scaling
        pixels = np.random.default_rng(0).uniform(0, full or 1, (9, 12))
        assert np.abs(network.query(pixels) - answers(model, pixels.astype(np.float32))).max() < 1e-5


@pytest.mark.parametrize(
    "change", [lambda x: 2 / (x + 1), lambda x: x * np.ones((4, 3), "float32"), lambda x: x // 2]
)
def test_other_operations_are_named(change: Callable[[Any], Any]) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, L.Dense(3)(L.Flatten()(change(inputs))))
    with pytest.raises(ModelError, match=r"\(keras.ops.[A-Z][A-Za-z]+\): it is not understood"):
        network_from_keras(model)


def test_whole_numbers_that_may_wrap_round_are_refused() -> None:
    import keras
    from keras import layers as L  # noqa: N812

    inputs = keras.Input((4, 3), dtype="uint8")
    model = keras.Model(inputs, L.Dense(3)(L.Flatten()(inputs * 2)))
    with pytest.raises(ModelError, match=r"keras.ops.Multiply"):
        network_from_keras(model)


@pytest.mark.reads(
    "model", "Keras: a first `Normalization`, asked about pixels", "pixels up to 1, 16 or 255, as it shows; said"
)
def test_a_first_normalization_tells_the_pixels(tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    layer = L.Normalization(axis=None, mean=33.3, variance=78.6**2)
    model = keras.Sequential([keras.Input((4, 3)), layer, L.Flatten(), L.Dense(3, activation="softmax")])
    model.save(tmp_path / "m.keras")
    with pytest.warns(AssumptionWarning, match="0 to 255, as it begins by standardising"):
        assert load_model(tmp_path / "m.keras").scaling == Scaling(1.0, 0.0, 255)
    assert network_from_keras(model, scaling=Scaling.unit(255)).scaling == Scaling.unit(255)


def test_scores_are_logits_unless_told_otherwise_and_one_answer_is_two_labels(tmp_path: Path) -> None:
    from keras import layers as L  # noqa: N812

    bare = sequential(L.Flatten(), L.Dense(3))
    for logits, scores in zip(both_ways(bare, tmp_path), both_ways(bare, tmp_path, outputs="scores"), strict=True):
        x = inputs_for(logits)
        np.testing.assert_allclose(scores.query(x), answers(bare, x), atol=TOLERANCE)
        np.testing.assert_allclose(
            logits.query(x), np.exp(answers(bare, x)) / np.exp(answers(bare, x)).sum(axis=1, keepdims=True),
            atol=TOLERANCE,
        )  # fmt: skip
    single = sequential(L.Flatten(), L.Dense(1, activation="sigmoid"))
    for network in both_ways(single, tmp_path, classes=("no", "yes")):
        x = inputs_for(network)
        np.testing.assert_allclose(network.query(x)[:, 1:], answers(single, x), atol=TOLERANCE)
        np.testing.assert_allclose(network.query(x).sum(axis=1), 1, atol=TOLERANCE)


def test_what_is_told_has_the_last_word(tmp_path: Path) -> None:
    from keras import layers as L  # noqa: N812

    model = sequential(L.Dense(2, activation="softmax"), shape=(6,))
    told = {"input_shape": (2, 3), "classes": ("a", "b"), "scaling": Scaling.unit(16)}
    for network in both_ways(model, tmp_path, **told):
        assert {name: getattr(network, name) for name in told} == told


@settings(max_examples=40, deadline=None)
@given(network=networks())
def test_a_file_written_here_is_read_unchanged(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("saved") / "network.keras"
    save_keras(network, path)
    again = load_keras(path)
    x = inputs_for(network)
    assert np.array_equal(again.query(x), network.query(x))
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in network.layers]
    assert_described_alike(network, again)


@settings(max_examples=15, deadline=None)
@given(network=networks())
def test_keras_opens_what_is_written_here(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    import keras

    path = tmp_path_factory.mktemp("saved") / "network.keras"
    save_keras(network, path)
    x = inputs_for(network)
    for model in (keras.models.load_model(path), network_to_keras(network)):
        np.testing.assert_allclose(answers(model, x), network.query(x), atol=TOLERANCE, rtol=TOLERANCE)
        back = network_from_keras(model, outputs="scores")
        if network.outputs > 1:
            np.testing.assert_allclose(back.query(x), network.query(x), atol=TOLERANCE, rtol=TOLERANCE)


def refused_layers() -> dict[str, Any]:
    import keras
    from keras import layers as L  # noqa: N812

    @keras.saving.register_keras_serializable("mine")
    class Dense(L.Dense):
        """A layer that calls itself Dense and is not Keras' own."""

    return {
        r"code \(Lambda\): it holds Python code": [L.Flatten(), L.Lambda(lambda x: x, name="code"), L.Dense(3)],
        r"odd \(Conv1D\): it is not understood": [L.Conv1D(2, 2, name="odd"), L.Flatten(), L.Dense(3)],
        r"norm \(LayerNormalization\)": [L.Flatten(), L.LayerNormalization(name="norm"), L.Dense(3)],
        r"cropped \(RandomCrop\): it is not understood": [L.RandomCrop(2, 4, name="cropped"), L.Dense(3)],
        r"softmax runs over a part": [L.Flatten(), L.Dense(6), L.Reshape((2, 3)), L.Softmax()],
        r"own \(Dense\) is somebody's own code": [L.Flatten(), Dense(3, name="own")],
        r"\(Dense\): its activation 'gelu' is not known": [L.Flatten(), L.Dense(3, activation="gelu")],
        r"ceiling": [L.Flatten(), L.Dense(4), L.ReLU(max_value=6), L.Dense(3)],
        r"\(Dense\): its weights take 4 signals, but signals of shape \(4, 4\)": [L.Dense(3), L.Flatten()],
        r"rescaled after the last activation": [L.Flatten(), L.Dense(3, activation="relu"), L.Rescaling(2.0)],
        r"no weights in it": [L.Flatten()],
    }


@pytest.mark.parametrize("position", range(11))
@pytest.mark.filterwarnings("ignore:The `keras.Sequential.save`:UserWarning")
def test_a_layer_that_is_not_understood_is_named(position: int, tmp_path: Path) -> None:
    said, layers = list(refused_layers().items())[position]
    model = sequential(*layers)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=said):
        network_from_keras(model)
    with pytest.raises(ModelError, match=rf"model\.keras is not a network that can be used: .*{said}"):
        load_keras(tmp_path / "model.keras")


def test_branches_are_refused(tmp_path: Path) -> None:
    import keras
    from keras import layers as L  # noqa: N812

    x = keras.Input((4,))
    hidden = L.Dense(4)(x)
    model = keras.Model(x, L.Dense(2)(L.Add(name="sum")([x, hidden])))
    with pytest.raises(ModelError, match=r"sum \(Add\) would come from several signals"):
        network_from_keras(model)
    twice = L.Dense(4, name="twice")
    with pytest.raises(ModelError, match="twice is used more than once"):
        network_from_keras(keras.Model(x, twice(twice(x))))


class TestHostileH5:
    """A whole model in one HDF5 file, damaged and made to mislead."""

    @pytest.fixture
    def good(self) -> bytes:
        return (TestKeras2.FOLDER / "model.h5").read_bytes()

    def test_a_file_cut_short_or_changed_anywhere_is_read_or_an_error_of_ours(
        self, good: bytes, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(0)
        for trial in range(300):
            changed = bytearray(good[: rng.integers(len(good))] if trial % 3 == 0 else good)
            for place in rng.integers(0, min(len(changed), 4000), 20 * (trial % 3)):
                changed[place] = rng.integers(256)
            try:
                text = text_attribute(bytes(changed), "model_config", 2**20)
            except ModelError:
                continue
            assert text is None or len(text) <= 2**20
        (tmp_path / "short.h5").write_bytes(good[: len(good) // 2])
        with pytest.raises(ModelError, match=r"short\.h5 is not a network that can be used"):
            load_keras(tmp_path / "short.h5")

    def test_the_attribute_is_what_the_library_reads(self, good: bytes) -> None:
        import h5py

        with h5py.File(BytesIO(good)) as file:
            assert text_attribute(good, "model_config", 2**20) == file.attrs["model_config"].encode()
        assert text_attribute(good, "nothing", 2**20) is None
        with pytest.raises(ModelError, match="description asks for"):
            text_attribute(good, "model_config", 10)

    def test_weights_alone_and_other_files_are_told(self, tmp_path: Path) -> None:
        import h5py

        with h5py.File(tmp_path / "weights.h5", "w") as file:
            file["dense/kernel"] = np.ones(3)
        with h5py.File(tmp_path / "new.h5", "w", libver="latest") as file:
            file.attrs["model_config"] = "{}"
        (tmp_path / "none.h5").write_bytes(b"anything")
        for name, said in (("weights", "weights alone"), ("new", "usual"), ("none", "broken or was cut short")):
            with pytest.raises(ModelError, match=said):
                load_keras(tmp_path / f"{name}.h5")

    def test_links_that_lead_elsewhere_or_in_circles_are_not_followed(self, good: bytes, tmp_path: Path) -> None:
        import h5py

        path = tmp_path / "model.h5"
        path.write_bytes(good)
        with h5py.File(path, "r+") as file:
            group = file["model_weights/dense_1"]
            group["dense_1/again"] = group
        with pytest.raises(ModelError, match="too deep in one another"):
            load_keras(path)
        path.write_bytes(good)
        with h5py.File(path, "r+") as file:
            del file["model_weights/kind/kind/kernel:0"]
            file["model_weights/kind/kind/kernel:0"] = h5py.SoftLink("/model_weights/dense_1/dense_1/kernel:0")
        with pytest.raises(ModelError, match=r"kind \(Dense\): the file has no arrays called kernel"):
            load_keras(path)


class TestHostileFiles:
    """Files made to mislead, built from a good one."""

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        path = tmp_path / "good.keras"
        save_keras(Network.create([4, 3, 2], biases=True, rng=1), path)
        return path

    @staticmethod
    def rewritten(good: Path, **change: bytes | None) -> Path:
        """`good` with members replaced, or left out where the change is None."""
        names = {"config": "config.json", "weights": "model.weights.h5", "notes": "backquery.json"}
        changes = {names[name]: content for name, content in change.items()}
        path = good.with_name("bad.keras")
        with ZipFile(good) as old, ZipFile(path, "w") as new:
            for name in old.namelist():
                content = changes.get(name, old.read(name)) if name in changes else old.read(name)
                if content is not None:
                    new.writestr(name, content)
        return path

    @staticmethod
    def weights(build: Callable[[Any], None], keep: bool = False) -> bytes:
        import h5py

        content = BytesIO()
        with h5py.File(content, "w") as file:
            if keep:
                for folder, shape in (("dense", (4, 3)), ("dense_1", (3, 2))):
                    file[f"layers/{folder}/vars/0"] = np.ones(shape, "float32")
                    file[f"layers/{folder}/vars/1"] = np.ones(shape[1], "float32")
            build(file)
        return content.getvalue()

    def test_a_good_file_without_notes_is_read(self, good: Path) -> None:
        path = self.rewritten(good, weights=self.weights(lambda file: None, keep=True), notes=None)
        assert load_keras(path).layers[0].weights.tolist() == np.ones((3, 4)).tolist()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"config": None}, r"there is no config\.json"),
            ({"weights": None}, r"there is no model\.weights\.h5"),
            ({"config": b"["}, "config.json is not JSON"),
            ({"config": b"[" * 100_000}, "config.json is not JSON"),
            ({"config": b"[1]"}, "not a JSON object"),
            ({"config": b"{}"}, "lists no layers"),
            ({"config": b'{"config": {"layers": [{"class_name": "Dense"}]}}'}, "lists no layers"),
            (
                {"config": b'{"class_name": "Mine", "config": {"layers": []}}'},
                "the model Mine is a class of somebody's own",
            ),
            ({"weights": b"no HDF5"}, "cannot be read"),
            ({"notes": b'{"classes": 3}'}, "description needs"),
        ],
    )
    def test_broken_members(self, good: Path, change: dict[str, bytes | None], said: str) -> None:
        with pytest.raises(ModelError, match=said):
            load_keras(self.rewritten(good, **change))

    def test_weights_that_lead_elsewhere_are_not_followed(self, good: Path, tmp_path: Path) -> None:
        import h5py

        with h5py.File(tmp_path / "secret.h5", "w") as secret:
            secret["numbers"] = np.ones((4, 3), "float32")

        def external_link(file: Any) -> None:
            del file["layers/dense/vars/0"]
            file["layers/dense/vars/0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "numbers")

        def soft_link(file: Any) -> None:
            del file["layers/dense"]
            file["layers/dense"] = h5py.SoftLink("/layers/dense_1")

        def external_numbers(file: Any) -> None:
            del file["layers/dense/vars/0"]
            (tmp_path / "raw").write_bytes(bytes(48))
            file.create_dataset("layers/dense/vars/0", (4, 3), "float32", external=[(tmp_path / "raw", 0, 48)])

        for build, said in (
            (external_link, "has no layers/dense/vars/0"),
            (soft_link, "has no layers/dense"),
            (external_numbers, "does not hold plain numbers within the file"),
        ):
            with pytest.raises(ModelError, match=said):
                load_keras(self.rewritten(good, weights=self.weights(build, keep=True)))

    def test_numbers_that_unpack_to_more_than_the_file_holds_are_not_unpacked(self, good: Path) -> None:
        def packed(file: Any) -> None:
            del file["layers/dense/vars/0"]
            file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "float32", chunks=(1000, 1000))

        with pytest.raises(ModelError, match="promises 4,000,000,000,000 bytes, more than the file holds"):
            load_keras(self.rewritten(good, weights=self.weights(packed, keep=True)))

    def test_an_archive_that_unpacks_to_too_much_is_refused(
        self, good: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(foreign, "check_size", self._tight)
        with pytest.raises(ModelError, match=r"asks for [\d,]+ bytes; at most 1,000 are read"):
            load_keras(good)

    @staticmethod
    def _tight(size: int, what: str, limit: int = 0, _original: Any = foreign.check_size) -> None:
        _original(size, what, 1000)

    def test_shapes_that_do_not_fit_their_settings(self, good: Path) -> None:
        with ZipFile(good) as archive:
            config = json.loads(archive.read("config.json"))
        config["config"]["layers"][1]["config"]["units"] = 5
        with pytest.raises(ModelError, match=r"layer_1 \(Dense\): its weights of shape \(4, 3\) do not make 5"):
            load_keras(self.rewritten(good, config=json.dumps(config).encode()))
        config["config"]["layers"][0]["config"]["batch_shape"] = [None, None]
        config["config"]["build_input_shape"] = config["build_config"]["input_shape"] = None
        with pytest.raises(ModelError, match="shape of its inputs"):
            load_keras(self.rewritten(good, config=json.dumps(config).encode()))

    def test_an_archive_cut_short_anywhere_is_an_error_of_ours(self, good: Path) -> None:
        content = good.read_bytes()
        for length in range(0, len(content), 97):
            good.write_bytes(content[:length])
            with pytest.raises(ModelError):
                load_keras(good)
