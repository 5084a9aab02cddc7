"""Values that hold arrays are shown in a line, in notebooks as what they are."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from backquery import (
    Network,
    Scaling,
    back_query,
    compare_methods,
    evaluate,
    find_shortcuts,
    load_model,
    measure_damage,
    measure_evidence,
    train,
)
from backquery.datasets import load
from backquery.errors import MissingExtraError
from backquery.inversion import typical
from backquery.plots import scan_grid

MNIST, DIGITS = load_model("mnist"), load("digits")
SCANS = back_query(MNIST, ["3", "4"])
SMALL = Network.create([64, 10, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(DIGITS.maximum))


@pytest.mark.parametrize(
    "value",
    [MNIST, MNIST.layers[0], MNIST.statistics, MNIST.scaling, DIGITS, DIGITS.train, SCANS, typical(MNIST, [3])],
    ids=lambda value: type(value).__name__,
)
def test_no_value_prints_its_numbers(value: object) -> None:
    shown = repr(value)
    assert shown.startswith(type(value).__name__) and len(shown) < 450 and "\n" not in shown


def test_a_network_names_its_nodes_activations_and_labels() -> None:
    assert repr(MNIST).startswith("Network(784-200-10, sigmoid, sigmoid, float32; 28 x 28 to 0, 1, 2")
    many = Network.create([4, 30], rng=0, input_shape=(2, 2))
    assert repr(many) == "Network(4-30, sigmoid, float32; 2 x 2 to 30 labels)"


def test_an_evaluation_says_its_performance() -> None:
    network = Network.create([64, 10], rng=0, input_shape=(8, 8))
    found = evaluate(network, (np.ones((20, 64)), np.arange(20) % 10))
    ((truth, read, images),) = found.worst_confusions(1)
    right = f"{found.performance:.2%} right: 2 of 20 images"
    assert repr(found) == f"Evaluation({right}; {truth} read as {read} {images} times)"


def test_a_back_query_is_a_table_by_class_name() -> None:
    first, second = SCANS.records()
    assert (first["label"], first["read"], second["label"]) == ("3", "3", "4")
    assert SCANS.as_json()["scans"] == SCANS.records() and json.dumps(SCANS.records())
    table = SCANS._repr_html_()
    assert "<caption>2 of 2 read as asked, by gauss-newton</caption>" in table and table.count("<tr>") == 3


TABLES = {
    "back query": lambda: SCANS,
    "history": lambda: train(SMALL, DIGITS.train, epochs=2, rng=1)[1],
    "comparison": lambda: compare_methods(SMALL, DIGITS, judges=[], controls=False, confidences=False),
    "audit": lambda: find_shortcuts(train(SMALL, DIGITS.train, epochs=3, rng=1)[0], DIGITS, images=100),
}


OTHERS = {
    "damage": lambda: measure_damage(SMALL, DIGITS, repeats=2),
    "evidence": lambda: measure_evidence(SMALL, DIGITS, labels=[3], images=40)[0],
}


@pytest.mark.parametrize("kind", [*TABLES, *OTHERS])
def test_what_holds_other_values_says_how_many_and_not_each(kind: str) -> None:
    shown = repr((TABLES | OTHERS)[kind]())
    assert len(shown) < 450 and "\n" not in shown and "array(" not in shown


@pytest.mark.parametrize("kind", TABLES)
def test_what_has_rows_is_a_table_in_a_notebook(kind: str) -> None:
    found = TABLES[kind]()
    table = found._repr_html_()
    assert table.count("<tr>") == 1 + len(found.records()) and "[" not in table and "{" not in table


@pytest.mark.needs("pandas")
@pytest.mark.parametrize("kind", TABLES)
def test_what_has_rows_is_a_table_of_pandas_too(kind: str) -> None:
    found = TABLES[kind]()
    table, records = found.to_pandas(), found.records()
    assert len(table) == len(records) > 1
    for name, value in records[1].items():
        if isinstance(value, dict):
            assert all(table[f"{name}.{inner}"][1] == each for inner, each in value.items())
        elif value is None:
            assert table[name].isna()[1]
        else:
            assert table[name][1] == value


def test_without_pandas_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"needs pandas, which is not installed; run: pip install pandas$"):
        SCANS.to_pandas()


def test_class_names_are_no_markup() -> None:
    network = Network.create([4, 2], rng=0, classes=("<b>", "&"))
    assert "&lt;b&gt;" in back_query(network, [0])._repr_html_()


def test_a_figure_shows_itself_in_a_notebook() -> None:
    assert scan_grid(SCANS, MNIST)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
