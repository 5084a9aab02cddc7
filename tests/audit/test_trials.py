"""Interventions on held-out images, against their slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.audit.regions import Region
from backquery.audit.trials import Trials
from backquery.model import Model
from backquery.model.network import Network
from tests.inversion.conftest import Opaque
from tests.reference import audit as slow


def trials(model: Model, digits, count: int = 60) -> Trials:
    few = digits.test.select(slice(count))
    return Trials.of(model, model.scale(few.images), few.labels)


@pytest.fixture(scope="module")
def exact(clean) -> Network:
    """In float64, so that differences can be taken."""
    return clean.astype(np.float64)


def test_others_are_the_images_that_neither_are_nor_are_read_as_the_label(exact, digits):
    one = trials(exact, digits)
    for label in range(10):
        expected = [k for k in range(60) if label not in (one.labels[k], one.read[k])]
        assert one.others(label).tolist() == expected


@pytest.mark.parametrize("wrap", [lambda network: network, Opaque], ids=["network", "any model"])
def test_gains_are_what_differences_give(exact, digits, wrap):
    one = trials(wrap(exact), digits, 12)
    found = one.gains()
    for label in (0, 7):
        for side, end in enumerate((one.sheet.ink, one.sheet.paper)):
            expected = slow.gains(exact, one.inputs, one.labels, label, end)
            np.testing.assert_allclose(found[label, side], expected, rtol=1e-6, atol=1e-8)


def test_gains_do_not_depend_on_how_many_images_are_taken_at_once(exact, digits, monkeypatch):
    one = trials(exact, digits)
    together = one.gains()
    monkeypatch.setattr("backquery.audit.trials.CHUNK_NUMBERS", 7 * exact.inputs * exact.outputs)
    np.testing.assert_allclose(one.gains(), together, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("wrap", [lambda network: network, Opaque], ids=["network", "any model"])
@pytest.mark.parametrize("seed", range(3))
def test_a_pasted_region_changes_the_images_that_it_changes_one_by_one(exact, digits, wrap, seed):
    """Random regions, much larger than an audit's, so that many images change."""
    rng = np.random.default_rng(seed)
    one = trials(wrap(exact), digits)
    region = Region(rng.choice(64, 30, replace=False), rng.random(30) < 0.5)
    hits = 0
    for label in range(10):
        expected = slow.changed(exact, one.inputs, one.labels, label, region.inputs, region.ink.astype(float))
        assert one.changed(region, label).tolist() == expected
        hits += sum(expected)
    assert hits > 10


def test_an_empty_change_changes_nothing(exact, digits):
    one = trials(exact, digits)
    for label in range(10):
        assert not one.changed(Region(np.zeros(0, int), np.zeros(0, bool)), label).any()


def test_trying_a_region_leaves_the_images_as_they_are(exact, digits):
    for model in (exact, Opaque(exact)):
        one = trials(model, digits)
        before = one.inputs.copy()
        one.changed(Region(np.arange(4), np.ones(4, bool)), 0)
        one.changed_elsewhere(Region(np.arange(4), np.ones(4, bool)), 0, np.random.default_rng(0))
        np.testing.assert_array_equal(one.inputs, before)


def test_the_mark_of_a_backdoor_works_in_its_place_and_hardly_elsewhere(backdoored, digits):
    one = trials(backdoored, digits, 719)
    mark = Region(np.array([0, 1, 8, 9]), np.ones(4, bool))
    assert one.changed(mark, 7).mean() > 0.8
    assert one.changed_elsewhere(mark, 7, np.random.default_rng(0)).mean() < 0.3
