"""What is said of a model: as plain values and in words, of whatever kind the model is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backquery.model.facts import MOST_ENTRIES, about_in_words, facts_in_words, plain_facts, reveals
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.model.statistics import Mixture, Statistics
from tests.inversion.conftest import Opaque


def network(**description):
    return Network.create([6, 4, 3], activation="tanh", biases=True, rng=1, **description)


def statistics(typical=None):
    return Statistics(np.zeros(6), np.zeros((6, 2)), np.ones(6), typical)


def test_plain_facts_are_json_and_leave_out_what_is_not_there():
    told = plain_facts(network(about={"epochs": 3}))
    assert json.loads(json.dumps(told)) == told
    assert (told["sizes"], told["parameters"], told["dtype"]) == ([6, 4, 3], 4 * 6 + 3 * 4 + 4 + 3, "float32")
    assert (told["activations"], told["biases"]) == (["tanh", "tanh"], [True, True])
    assert (told["input_shape"], told["classes"]) == ([6], ["0", "1", "2"])
    assert (told["scaling"], told["statistics"], told["about"]) == (None, None, {"epochs": 3})
    assert set(plain_facts(Opaque(network()))) == {"input_shape", "classes", "scaling", "statistics"}


@pytest.mark.parametrize("scaling", [Scaling(1, 0, 16), Scaling.book(16), Scaling.standardised(np.eye(6), 16)])
def test_plain_facts_are_enough_to_scale_by(scaling):
    told = json.loads(json.dumps(plain_facts(network(scaling=scaling))))["scaling"]
    again = Scaling(np.array(told["gain"]), np.array(told["offset"]), told["maximum"])
    pixels = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(again.apply(pixels), scaling.apply(pixels))


def test_the_layers_are_told_of_a_chain_and_the_answers_of_any_other_model():
    own = facts_in_words(network(input_shape=(2, 3), classes=("a", "b", "c")))
    assert (own["layers"], own["activations"]) == ("6-4-3", "tanh, tanh")
    assert own["parameters"] == "43 float32, with biases"
    assert (own["input"], own["labels"]) == ("2 x 3", "a, b, c")
    other = facts_in_words(Opaque(network(input_shape=(2, 3))))
    assert other["layers"] == "those of another program's model (Opaque), which are not shown"
    assert other["outputs"] == "tanh"
    assert {name: own[name] for name in ("input", "scaling", "remembers")} == {
        name: other[name] for name in ("input", "scaling", "remembers")
    }


@pytest.mark.parametrize(
    ("scaling", "said"),
    [
        (None, "unknown; raw images are taken to be scaled as in the book"),
        (Scaling.book(16), "pixels 0 (paper) to 16 (ink) become 0.01 to 1"),
        (Scaling.standardised(np.eye(6)), "each pixel, from 0 to 255, has a scale of its own (standardised)"),
    ],
)
def test_the_scaling_in_words(scaling, said):
    assert facts_in_words(network(scaling=scaling))["scaling"] == said


def test_what_a_model_remembers_in_words():
    assert facts_in_words(network())["remembers"] == "nothing of its training images"
    told = facts_in_words(network(statistics=statistics()))["remembers"]
    assert told == "mean and covariance (rank 2) of its training images: they say something about the images"
    assert (
        "its usual answers to each label" in facts_in_words(network(statistics=statistics(np.eye(3))))["remembers"]
    )
    for typical in (None, np.eye(3)):
        told = plain_facts(network(statistics=statistics(typical)))["statistics"]
        assert told == {"rank": 2, "typical": typical is not None, "components": 1}


def test_a_mixture_is_told_with_what_it_gives_away():
    mixture = Mixture(np.full(4, 0.25), np.eye(6)[:, :2], np.zeros((4, 2)), np.zeros((4, 2, 1)))
    kept = replace(statistics(), mixture=mixture)
    assert "a mixture of 4 components" in facts_in_words(network(statistics=kept))["remembers"]
    assert plain_facts(network(statistics=kept))["statistics"]["components"] == 4
    assert "each of 4 groups of them, which comes nearer to single pictures" in reveals(kept)
    assert "groups" not in reveals(statistics())


def test_how_it_came_to_be_in_words():
    about = {
        "test_images": 10000, "performance": 0.97123456789, "removed_nodes": {"1": [4, 7]}, "epochs": 12000,
        "history": [{"loss": 1.0}], "recipe": "book",
    }  # fmt: skip
    assert about_in_words(network(about=about)) == {
        "test images": "10,000", "performance": "0.971235", "removed nodes": "1 4, 7", "epochs": "12000",
        "history": "1 entries", "recipe": "book",
    }  # fmt: skip
    assert about_in_words(Opaque(network(about=about))) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda values: st.lists(values, max_size=9) | st.dictionaries(st.text(max_size=9), values, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("ab c", max_size=5), JSON, max_size=4))
def test_anybodys_story_can_be_told(about):
    told = about_in_words(network(about=about))
    assert list(told) == list(about)
    for name, value in about.items():
        if isinstance(value, list) and len(value) > MOST_ENTRIES:
            assert told[name] == f"{len(value)} entries"
