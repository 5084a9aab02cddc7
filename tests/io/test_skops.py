"""scikit-learn's classifiers from files: only known types are built, and only after all have been checked."""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery import datasets
from backquery.errors import ModelError
from backquery.io import foreign, skops
from backquery.io.skops import load_skops, save_skops
from backquery.model.network import Network
from tests.io import classifiers
from tests.io.chains import inputs_for

pytestmark = pytest.mark.needs("skops")


def fitted(estimator: Any, labels: int = 3) -> tuple[Any, Any]:
    from sklearn.exceptions import ConvergenceWarning

    x = np.random.default_rng(0).normal(size=(90, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(x, np.array(["ant", "bee", "cat"])[np.arange(90) % labels]), x


def dumped(estimator: Any, path: Path) -> Path:
    from skops.io import dump

    dump(estimator, path)
    return path


def perceptron(**settings: Any) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((5, 4), max_iter=3, random_state=1, **settings)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_perceptrons_answer_as_they_did(labels: int, solver: str, activation: str, tmp_path: Path) -> None:
    estimator, x = fitted(perceptron(solver=solver, activation=activation), labels)
    network = load_skops(dumped(estimator, tmp_path / "m.skops"))
    np.testing.assert_allclose(network.query(x), estimator.predict_proba(x), atol=1e-6)
    assert network.classes == tuple(estimator.classes_)
    assert network.input_shape == (3, 3)


@pytest.mark.parametrize("scaler", ["StandardScaler", "MinMaxScaler", "MaxAbsScaler"])
@pytest.mark.parametrize("linear", [False, True])
def test_pipelines_answer_as_they_did(scaler: str, linear: bool, tmp_path: Path) -> None:
    from sklearn import preprocessing
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = LogisticRegression() if linear else perceptron(early_stopping=True)
    estimator, x = fitted(make_pipeline(getattr(preprocessing, scaler)(), classifier))
    network = load_skops(dumped(estimator, tmp_path / "m.skops"), input_shape=(1, 9), scaling=None)
    np.testing.assert_allclose(network.query(x), estimator.predict_proba(x), atol=1e-6)
    assert network.input_shape == (1, 9)


@pytest.mark.parametrize("estimator", [pytest.param(*case.values, id=case.id) for case in classifiers.many()])
def test_what_people_put_together_answers_as_it_did(estimator: Any, tmp_path: Path) -> None:
    from sklearn.base import clone

    original = classifiers.fitted(clone(estimator))
    x, _ = classifiers.examples()
    network = load_skops(dumped(original, tmp_path / "m.skops"), scaling=None)
    np.testing.assert_allclose(network.query(x), original.predict_proba(x), rtol=0, atol=1e-9)
    assert network.classes == ("0", "1", "2")


@pytest.mark.reads(
    "model", "a `.skops` file of any of these", "the same, with nothing built but types on a fixed list"
)
def test_the_first_step_shows_what_pixels_are(tmp_path: Path) -> None:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline

    digits = datasets.load("digits").train.select(slice(300))
    images = digits.images.reshape(-1, 64)
    original = classifiers.quietly(make_pipeline(PCA(20), classifiers.mlp()), images, digits.labels)
    network = load_skops(dumped(original, tmp_path / "m.skops"))
    assert network.scaling is not None and network.scaling.maximum == 16
    assert network.input_shape == (8, 8)
    np.testing.assert_allclose(network.query_images(digits.images), original.predict_proba(images), atol=1e-9)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "float32", "bool", "<U3"])
def test_labels_of_any_kind(dtype: str, several: bool, tmp_path: Path) -> None:
    x, y = classifiers.examples(2)
    labels = np.stack([y, 1 - y], axis=1) if several else y
    for original in (
        [classifiers.mlp()] if several else [classifiers.mlp(), classifiers.CLASSIFIERS["logistic-cv"]]
    ):
        classifiers.quietly(original, x, labels.astype("u1" if several else dtype))
        network = load_skops(dumped(original, tmp_path / "m.skops"))
        np.testing.assert_allclose(network.query(x), original.predict_proba(x), rtol=0, atol=1e-9)


def test_a_file_asks_for_no_processes_and_no_functions(tmp_path: Path) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_selection import SelectKBest, f_classif
    from sklearn.pipeline import make_pipeline

    selecting = ColumnTransformer([("best", SelectKBest(f_classif, k=2), [0, 1, 2])])
    original = classifiers.fitted(make_pipeline(selecting, classifiers.mlp()))
    original[0].n_jobs = 10_000
    built = skops._build(dumped(original, tmp_path / "m.skops").read_bytes())
    assert built[0].n_jobs is None
    assert built[0].named_transformers_["best"].score_func is None


def test_a_search_that_was_not_refit_is_told(tmp_path: Path) -> None:
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(classifiers.mlp(), {"alpha": [1.0]}, cv=2, refit=False)
    with pytest.raises(ModelError, match=r"GridSearchCV cannot be converted: .* search with refit=True"):
        load_skops(dumped(classifiers.fitted(search), tmp_path / "m.skops"))


def test_columns_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaled = classifiers.columns((StandardScaler(), [0, 1]))
    path = dumped(classifiers.fitted(make_pipeline(scaled, classifiers.mlp())), tmp_path / "good.skops")

    def change(members: dict[str, bytes]) -> None:
        schema = json.loads(members["schema.json"])
        steps = schema["content"]["content"]["steps"]["content"]
        transformer = steps[0]["content"][1]["content"]["content"]
        transformer["n_features_in_"]["content"] = str(10**12)
        members["schema.json"] = json.dumps(schema).encode()

    with pytest.raises(ModelError, match="its first layer asks for 40,000,000,000,000 bytes"):
        load_skops(rewritten(path, change))


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    outputs=st.integers(2, 5),
    activation=st.sampled_from(["sigmoid", "tanh", "relu", "identity"]),
    dtype=st.sampled_from(["float32", "float64"]),
    rng=st.integers(0, 2**32),
)
def test_networks_go_there_and_back(
    sizes: list[int], outputs: int, activation: str, dtype: str, rng: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [activation] * (len(sizes) - 1) + ["softmax"]
    network = Network.create(
        [*sizes, outputs], activation=names, biases=True, rng=rng, dtype=dtype,
        classes=tuple(f"label {number}" for number in range(outputs)),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("saved") / "network.skops"
    save_skops(network, path)
    again = load_skops(path)
    np.testing.assert_allclose(again.query(inputs_for(network)), network.query(inputs_for(network)), atol=1e-6)
    assert again.classes == network.classes


def test_other_types_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import LinearSVC
    from sklearn.tree import DecisionTreeClassifier

    tree, _ = fitted(DecisionTreeClassifier())
    with pytest.raises(ModelError, match=r"it is made of .*DecisionTreeClassifier.* trees ask of .*MLPClassifier"):
        load_skops(dumped(tree, tmp_path / "tree.skops"))
    machine, _ = fitted(LinearSVC())
    with pytest.raises(ModelError, match=r"LinearSVC: it decides, but does not say how sure it is"):
        load_skops(dumped(machine, tmp_path / "machine.skops"))
    pipeline, _ = fitted(make_pipeline(FunctionTransformer(np.arctan), perceptron()))
    with pytest.raises(ModelError, match=r"it is made of numpy\.arctan"):
        load_skops(dumped(pipeline, tmp_path / "pipeline.skops"))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return dumped(fitted(perceptron())[0], tmp_path / "good.skops")


def rewritten(good: Path, change: Any) -> Path:
    """`good` with its members as `change` leaves them."""
    with ZipFile(good) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    path = good.with_name("bad.skops")
    with ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def in_schema(**fields: Any) -> Any:
    """A change of the outermost entries of the schema."""

    def change(members: dict[str, bytes]) -> None:
        members["schema.json"] = json.dumps(json.loads(members["schema.json"]) | fields).encode()

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (in_schema(__module__="os", __class__="system"), "it is made of os.system"),
        (in_schema(extra={"__module__": "builtins", "__class__": "eval"}), "it is made of builtins.eval"),
        (in_schema(__loader__="FunctionNode"), "it asks for FunctionNode"),
        (in_schema(__loader__=["x"]), "it asks for"),
        (
            in_schema(__class__="LabelBinarizer", __module__="sklearn.preprocessing._label"),
            "LabelBinarizer cannot be",
        ),
        (in_schema(content=None), "MLPClassifier cannot be converted"),
        (lambda members: members.pop("schema.json"), r"there is no schema\.json"),
        (lambda members: members.update({"schema.json": b"["}), "is not JSON"),
        (lambda members: members.update({"more.npy": b"no array"}), r"more\.npy in it is no array"),
    ],
)
def test_changed_schemas_are_refused(good: Path, change: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        load_skops(rewritten(good, change))


def test_an_array_that_promises_more_than_it_holds_is_refused(good: Path) -> None:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10**6)})

    def change(members: dict[str, bytes]) -> None:
        members[next(name for name in members if name.endswith(".npy"))] = header.getvalue()

    with pytest.raises(ModelError, match=r"\.npy in it promises more numbers than it holds"):
        load_skops(rewritten(good, change))


def test_an_archive_that_unpacks_to_too_much_is_refused(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MEMBERS", 3)
    with pytest.raises(ModelError, match="at most 3 are read"):
        load_skops(good)


def test_a_file_cut_short_anywhere_is_an_error_of_ours(good: Path) -> None:
    content = good.read_bytes()
    for length in range(0, len(content), 503):
        good.write_bytes(content[:length])
        with pytest.raises(ModelError):
            load_skops(good)
