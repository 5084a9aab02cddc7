"""The four text files of a network with thresholds: the original's answers, and what is wrong with a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery.errors import ModelError, OutputError
from backquery.files import WAITING
from backquery.io import load_text, save_text
from backquery.model.network import Network


def test_the_original_programs_answers_are_reproduced(oracle_folder: Path) -> None:
    network = load_text(oracle_folder / "thresholds")
    with np.load(oracle_folder / "thresholds" / "expected.npz", allow_pickle=False) as expected:
        answers = network.query(expected["inputs"])
        assert network.sizes == (64, 15, 10)
        assert network.input_shape == (8, 8)
        np.testing.assert_allclose(answers, expected["answers"], rtol=0, atol=1e-9)


def test_the_files_mean_what_the_formula_says(tmp_path: Path) -> None:
    (tmp_path / "weight1.txt").write_text("1 2\n3 4\n5 6\n")
    (tmp_path / "value1.txt").write_text("0.5 -0.25\n")
    network = load_text(tmp_path, classes=("a", "b"))
    x = np.array([0.1, -0.2, 0.3])
    W, theta = np.array([[1, 2], [3, 4], [5, 6]]), np.array([0.5, -0.25])
    np.testing.assert_allclose(network.query(x), 1 / (1 + np.exp(-(x @ W - theta))), rtol=1e-14)
    assert network.input_shape == (3,)
    assert network.classes == ("a", "b")


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    biases=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_writing_then_reading_is_the_identity(
    sizes: list[int], biases: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    random = np.random.default_rng(seed)
    network = Network.create(sizes, biases=biases, rng=random, dtype="float64")
    folder = tmp_path_factory.mktemp("text")
    save_text(network, folder)
    again = load_text(folder)
    for before, after in zip(network.layers, again.layers, strict=True):
        assert np.array_equal(before.weights, after.weights)
        assert after.biases is not None
        assert np.array_equal(after.biases, np.zeros(after.outputs) if before.biases is None else before.biases)


def test_the_files_are_the_usual_four_and_their_sums_in_a_folder_made_for_them(tmp_path: Path) -> None:
    save_text(Network.create([4, 3, 2], rng=1), tmp_path / "new")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["SHA256SUMS", "value1.txt", "value2.txt", "weight1.txt", "weight2.txt"]
    rows = (tmp_path / "new" / "weight1.txt").read_text().splitlines()
    assert [len(row.split(" ")) for row in rows] == [3, 3, 3, 3], "inputs x outputs"


def test_a_smaller_network_takes_the_place_of_a_larger_one_whole(tmp_path: Path) -> None:
    save_text(Network.create([4, 5, 3, 2], rng=1), tmp_path)
    (tmp_path / "weights.txt").write_text("of somebody else")
    save_text(Network.create([4, 2], rng=2), tmp_path)
    assert load_text(tmp_path).sizes == (4, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "SHA256SUMS", "value1.txt", "weight1.txt", "weights.txt",
    ]  # fmt: skip


def test_halves_of_two_networks_are_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backquery.io.text.TRIES", 2)
    for number in (1, 2):
        save_text(Network.create([4, 3, 2], rng=number), tmp_path / str(number))
    (tmp_path / "1" / "weight2.txt").replace(tmp_path / "2" / "weight2.txt")
    with pytest.raises(ModelError, match=r"do not belong together: weight2.txt is not the one that SHA256SUMS"):
        load_text(tmp_path / "2")
    with pytest.raises(ModelError, match=r"do not belong together: weight2.txt"):
        load_text(tmp_path / "1")
    (tmp_path / "2" / "SHA256SUMS").unlink()
    assert load_text(tmp_path / "2").sizes == (4, 3, 2)


def test_a_writing_that_was_broken_off_between_two_moves_counts_as_whole(tmp_path: Path) -> None:
    old, new = (Network.create([4, 3, 2], rng=number, dtype="float64") for number in (1, 2))
    save_text(old, tmp_path / "old")
    save_text(new, tmp_path)
    for name in ("weight1.txt", "value2.txt"):  # as if these had not been moved yet
        (tmp_path / name).replace(tmp_path / WAITING.format(name, "0"))
        (tmp_path / "old" / name).replace(tmp_path / name)
    for before, after in zip(new.layers, load_text(tmp_path).layers, strict=True):
        assert np.array_equal(before.weights, after.weights)
    save_text(old, tmp_path)
    assert np.array_equal(load_text(tmp_path).layers[0].weights, old.layers[0].weights)


def test_who_reads_while_another_writes_gets_one_network_or_the_other(tmp_path: Path) -> None:
    networks = [Network.create([6, 4, 3], rng=number, dtype="float64") for number in (1, 2)]
    known = {network.layers[0].weights.tobytes(): network for network in networks}
    save_text(networks[0], tmp_path)
    ended = Event()

    def rewrite() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            save_text(networks[number % 2], tmp_path)

    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(rewrite)
        for _ in range(100):
            found = load_text(tmp_path)
            whole = known[found.layers[0].weights.tobytes()]
            assert np.array_equal(found.layers[1].weights, whole.layers[1].weights)
        ended.set()
        written.result()


def test_only_sigmoid_layers_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sigmoid layers only, and this network has relu, softmax"):
        save_text(Network.create([4, 3, 2], activation="relu", rng=1), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_cannot_be_made_inside_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot make the folder .*new"):
        save_text(Network.create([4, 2], rng=1), tmp_path / "nowhere" / "new")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weight1.txt", "1 2\n3 x\n", r"weight1.txt, row 2, column 2: expected a finite number, found 'x'"),
        ("weight1.txt", "1 2\n3 nan\n", r"weight1.txt, row 2, column 2: expected a finite number, found 'nan'"),
        ("weight1.txt", "1 2\n\n3\n", r"weight1.txt, row 3 has 1 numbers, the rows before it 2"),
        ("weight1.txt", " \n", r"weight1.txt is empty"),
        ("weight1.txt", "\x89PNG\xff", r"weight1.txt is not plain text"),
        ("value1.txt", "1 2 3\n", r"value1.txt should hold 2 thresholds, .* holds 1 x 3 numbers"),
        ("weight2.txt", "1\n2\n3\n", r"layer 1 gives 2 signals, but layer 2 takes 3"),
    ],
)
def test_a_bad_file_is_named_with_row_and_column(tmp_path: Path, name: str, content: str, said: str) -> None:
    good = {"weight1.txt": "1 2\n3 4\n", "value1.txt": "0 0\n", "weight2.txt": "1\n2\n", "value2.txt": "0\n"}
    for file, text in (good | {name: content}).items():
        (tmp_path / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=said):
        load_text(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no network: expected weight1.txt, value1.txt"):
        load_text(tmp_path)
    (tmp_path / "weight1.txt").write_text("1 2\n")
    with pytest.raises(ModelError, match=r"cannot read .*value1.txt: No such file"):
        load_text(tmp_path)
