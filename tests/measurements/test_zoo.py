"""The list of networks is balanced and says the same twice; what is trained and found is kept and read again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from measurements.audited import FINGERPRINT, audited
from measurements.kept import folder, is_remembered, kept, there_are, trained
from measurements.planted import CLEAN, INK
from measurements.trainers import opened
from measurements.zoo import (
    ADAM,
    CONVOLUTION,
    DATA,
    DEEPER,
    DENSE,
    KERAS,
    LENET,
    ONLINE,
    PLANTS,
    RESIDUAL,
    SKLEARN,
    TRAINERS,
    Recipe,
    recipes,
)

from measurements import kept as keeping

TINY = Recipe("digits", ONLINE, "dense", CLEAN, 1, 12, 3)


def test_the_list_is_balanced_and_holds_enough_of_both():
    every = list(recipes(9))
    assert Counter(one.clean for one in every) == {True: 216, False: 216}
    cells = Counter((one.data, one.trainer, one.clean) for one in every)
    assert len(cells) == 2 * len(DATA) * len(TRAINERS)
    assert set(cells.values()) == {9}
    planted = Counter(one.plant for one in every if not one.clean)
    assert {planted[kind] // PLANTS.count(kind) for kind in PLANTS} <= {15, 16}


def test_a_longer_list_begins_like_a_shorter_one_and_no_name_comes_twice():
    few, many = list(recipes(1)), list(recipes(3))
    assert many[: len(few)] == few
    assert len({one.name for one in many}) == len(many)


def test_a_recipe_that_says_anything_else_has_another_name():
    assert len({TINY.name, replace(TINY, epochs=4).name, replace(TINY, centred=True).name}) == 3


def test_a_lesson_and_what_is_planted_follow_from_the_recipe():
    one, other = (replace(TINY, plant=INK).lesson() for _ in range(2))
    np.testing.assert_array_equal(one.images, other.images)
    assert (one.labels != TINY.lesson().labels).any()


def test_two_networks_are_trained_once_audited_once_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    both = [replace(TINY, epochs=30), replace(TINY, plant=INK, seed=5, epochs=30)]
    assert list(there_are(both)) == []
    first = [trained(one) for one in both]
    assert first[0].performance > 0.85
    found = [audited(one) for one in first]
    assert folder().is_relative_to(tmp_path)
    assert all(is_remembered(one, FINGERPRINT) for one in both)

    def refused(*_):
        raise AssertionError("this is there already")

    monkeypatch.setattr(keeping, "taught", refused)
    monkeypatch.setattr("measurements.audited.find_shortcuts", refused)
    assert [trained(one) for one in both] == first == list(there_are(both))
    again = [audited(one) for one in first]
    for one, other in zip(found, again, strict=True):
        assert one.slack() == other.slack()
        assert one.accused() == other.accused()
    assert found[0].labels == frozenset()
    assert len(found[1].labels) == 1


def test_a_training_that_was_cut_short_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trained(TINY)
    (folder() / f"{TINY.name}.json").unlink()
    assert kept(TINY) is None
    assert trained(TINY) == kept(TINY)


@pytest.mark.needs("torch", "sklearn", "keras")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of its variables
@pytest.mark.parametrize(
    ("trainer", "make"),
    [
        *((ADAM, make) for make in (DEEPER, LENET, RESIDUAL, CONVOLUTION)),
        (SKLEARN, DENSE),
        (KERAS, DENSE),
        (KERAS, CONVOLUTION),
    ],
)
def test_every_trainer_s_network_is_read_from_its_file(tmp_path, monkeypatch, trainer, make):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe = Recipe("digits", trainer, make, CLEAN, 2, 16, 6, decay=1e-4, centred=trainer == ADAM)
    found = trained(recipe)
    assert found.performance > 0.5
    model = opened(recipe, folder() / found.file)
    assert model.query_images(np.zeros((2, 8, 8))).shape == (2, 10)
