"""Limits chosen from made-up findings, one trainer left out; and the area under a curve, pair by pair."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from measurements.audited import as_told, finding_of, in_place, pixels_of
from measurements.limits import area, chosen, leave_one_out
from measurements.planted import CLEAN, INK, WAVE
from measurements.planting import Trigger

from backquery.audit.findings import SHORTCUT, THRESHOLDS
from backquery.intervals import share_interval
from backquery.model import Layout
from tests.measurements.made_up import finding, network


def test_a_finding_is_the_same_once_it_was_told():
    before = finding(3, 0.8, 0.6)
    after = finding_of(as_told(before))
    for limits in (THRESHOLDS, type(THRESHOLDS)(margin=0.7)):
        assert after.judged(limits) == before.judged(limits)
    assert after.margin == pytest.approx(0.6)
    np.testing.assert_array_equal(after.region.inputs, before.region.inputs)


def test_a_network_is_accused_where_all_limits_are_exceeded_and_the_slack_says_by_how_much():
    low = share_interval(800, 1000).low
    one = network("a", CLEAN, 0.8, 0.5)
    assert one.accused() == {0}
    assert one.slack() == pytest.approx(min(0.8 - 0.5, low - 0.1 - 0.25, 0.5 - 0.4))
    other = network("a", CLEAN, 0.8, 0.3)
    assert not other.accused()
    assert other.slack() == pytest.approx(0.3 - 0.4)


def test_accused_is_whom_the_audit_calls_a_shortcut():
    rng = np.random.default_rng(0)
    for changed, margin in rng.uniform(0.2, 1.0, (60, 2)):
        one = network("a", CLEAN, changed, min(margin, changed))
        for limits in (THRESHOLDS, replace(THRESHOLDS, margin=0.6, excess=0.1)):
            assert bool(one.accused(limits)) == (one.findings[0].judged(limits) == SHORTCUT)


def test_chosen_limits_part_what_can_be_parted():
    """Clean networks with margins up to 0.52, marks from 0.6 on: only margins between find all and accuse none."""
    clean = [network("a", CLEAN, 0.9, margin) for margin in np.linspace(0.1, 0.52, 30)]
    marked = [network("a", INK, 0.9, margin) for margin in np.linspace(0.6, 0.9, 30)]
    limits = chosen([*clean, *marked])
    assert 0.52 < limits.margin <= 0.6
    assert not any(one.accused(limits) for one in clean)
    assert all(one.found(limits) for one in marked)


def test_other_kinds_have_no_say_in_the_choice():
    clean, faint = [network("a", CLEAN, 0.9, 0.1)], [network("a", WAVE, 0.9, 0.2)] * 5
    assert chosen([*clean, *faint]) == THRESHOLDS


def test_a_trainer_that_is_left_out_has_no_say_in_its_own_limits():
    """Trainer b's clean networks would be spared by a margin of 0.5, which trainer a does not ask for."""
    own = [network("b", CLEAN, 0.9, 0.45) for _ in range(10)]
    others = [network("a", CLEAN, 0.9, 0.1), network("a", INK, 0.9, 0.42)]
    of_a, of_b = leave_one_out([*others, *own])
    assert (of_a.trainer, of_b.trainer) == ("a", "b")
    assert of_b.limits == THRESHOLDS
    assert (of_b.clean, of_b.accused) == (10, 10)
    assert of_a.limits.margin > 0.45
    assert (of_a.clean, of_a.accused, of_a.working, of_a.found) == (1, 0, 1, 0)


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    above, below = [0.3, 0.5, 0.5, 0.9], [0.1, 0.5, 0.4]
    pairs = [1.0 if one > other else 0.5 if one == other else 0.0 for one in above for other in below]
    found = area(above, below)
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert found == pytest.approx(share_interval(3 * found.value, 3))
    assert area([1.0, 2.0], [0.0]).low < 1.0


@pytest.mark.parametrize(
    ("pixels", "right"),
    [([0, 1], True), ([1, 6, 7, 8], False), ([1, 4, 8, 12], True), ([10, 11], False)],
)
def test_the_place_is_right_where_half_of_either_lies_in_the_other(pixels, right):
    """The mark has the corners of the upper left four pixels, of four by four."""
    covers = np.zeros((4, 4), bool)
    covers[[0, 1], [0, 1]] = True
    region = np.zeros((4, 4), bool)
    region.flat[pixels] = True
    assert in_place(Trigger(covers, covers * 1.0), region) == right


def test_a_region_of_any_channel_order_covers_its_pixels():
    for shape in ((3, 4, 5), (4, 5, 3)):
        layout = Layout.of(shape)
        inputs = layout.cells[1, 2].ravel()
        covered = pixels_of(SimpleNamespace(inputs=inputs), layout)
        assert np.argwhere(covered).tolist() == [[1, 2]]
