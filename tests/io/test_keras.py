"""Keras 3: the same answers there and here, from live models and from files that are never run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.io import foreign
from backquery.io.keras import load_keras, network_from_keras, network_to_keras, save_keras
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
def _keras() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")


def answers(model: Any, x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(model(x.reshape(len(x), *model.input_shape[1:])).detach())


def sequential(*layers: Any, shape: tuple[int, ...] = (4, 4)) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input(shape), *layers])


def both_ways(model: Any, folder: Path, **choice: Any) -> list[Network]:
    """The network from the live model, and from its file."""
    model.save(folder / "model.keras")
    return [network_from_keras(model, **choice), load_keras(folder / "model.keras", **choice)]


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


@pytest.mark.parametrize("name", [
    "the usual", "activations apart", "an activation that is a layer", "no biases", "rescaled first",
    "rescaled between", "named by hand",
])  # fmt: skip
def test_sequential_chains(name: str, tmp_path: Path) -> None:
    model = chains()[name]()
    for network in both_ways(model, tmp_path):
        x = inputs_for(network)
        np.testing.assert_allclose(network.query(x), answers(model, x), atol=TOLERANCE)
        assert network.input_shape == (4, 4)
        assert network.dtype == np.float32


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


@settings(max_examples=40)
@given(network=networks())
def test_a_file_written_here_is_read_unchanged(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("saved") / "network.keras"
    save_keras(network, path)
    again = load_keras(path)
    x = inputs_for(network)
    assert np.array_equal(again.query(x), network.query(x))
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in network.layers]
    assert_described_alike(network, again)


@settings(max_examples=15)
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
        r"norm \(BatchNormalization\)": [L.Flatten(), L.BatchNormalization(name="norm"), L.Dense(3)],
        r"own \(Dense\) is somebody's own code": [L.Flatten(), Dense(3, name="own")],
        r"\(Dense\): its activation 'gelu' is not known": [L.Flatten(), L.Dense(3, activation="gelu")],
        r"ceiling": [L.Flatten(), L.Dense(4), L.ReLU(max_value=6), L.Dense(3)],
        r"\(Dense\): its weights take 4 signals, but signals of shape \(4, 4\)": [L.Dense(3), L.Flatten()],
        r"rescaled after the last activation": [L.Flatten(), L.Dense(3, activation="relu"), L.Rescaling(2.0)],
        r"no weights in it": [L.Flatten()],
    }


@pytest.mark.parametrize("position", range(9))
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
            ({"config": b'{"class_name": "Mine", "config": {"layers": []}}'}, "a Mine model is code"),
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
        with pytest.raises(ModelError, match=r"its content asks for [\d,]+ bytes; at most 1,000 are read"):
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
        with pytest.raises(ModelError, match="shape of its inputs"):
            load_keras(self.rewritten(good, config=json.dumps(config).encode()))

    def test_an_archive_cut_short_anywhere_is_an_error_of_ours(self, good: Path) -> None:
        content = good.read_bytes()
        for length in range(0, len(content), 97):
            good.write_bytes(content[:length])
            with pytest.raises(ModelError):
                load_keras(good)


def test_reading_a_file_does_not_load_keras(tmp_path: Path) -> None:
    import subprocess
    import sys

    save_keras(Network.create([4, 3], rng=1), tmp_path / "m.keras")
    program = (
        "import sys; from backquery.io.keras import load_keras; "
        f"load_keras({str(tmp_path / 'm.keras')!r}); print(*[m for m in ('keras', 'torch') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
