"""The audit's section from made-up findings: what is counted, and in which row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from measurements.audit import (
    apart_words,
    choice,
    claim,
    hint_rows,
    make_rows,
    rate,
    rows,
    source_rows,
    trainer_rows,
)
from measurements.audited import OF_BOTH, OF_THE_TEST_HALF, OF_THE_TRAIN_HALF
from measurements.limits import Counted, leave_one_out
from measurements.planted import CLEAN, ERASED, GREY, INK, KINDS, UNCHANGED, WAVE

from backquery.audit.findings import THRESHOLDS
from backquery.intervals import share_interval
from tests.measurements.made_up import network

FOUND = [
    *[network("a", CLEAN, 0.2, 0.1) for _ in range(3)],
    network("a", CLEAN, 0.9, 0.8),
    *[network("b", INK, 0.9, 0.8) for _ in range(2)],
    network("b", GREY, 0.9, 0.2),
    replace(network("b", INK, 0.9, 0.8), works=0.5),
    network("b", ERASED, 0.9, 0.8),
    replace(network("a", UNCHANGED, 0.9, 0.8), works=0.6, placed=(False,) * 10),
]


def test_a_rate_has_wilson_s_interval_and_none_where_there_is_nothing():
    _, low, high = share_interval(19, 20)
    assert rate(19, 20) == f"19 of 20 ({100 * low:.0f} to {100 * high:.0f} %)"
    assert rate(0, 0) == "none"


def test_the_claim_counts_clean_ones_and_the_marks_that_work():
    said = claim(FOUND)
    assert f"Of the clean networks {rate(1, 4)} were accused" in said
    assert f"ink or grey that work, {rate(2, 3)} were found" in said
    assert f"those that erase, {rate(1, 1)}" in said
    assert "were not all met" in said


def test_each_kind_has_its_row():
    lines = {line[0]: line[1:] for line in rows(FOUND)}
    assert list(lines) == [*KINDS, CLEAN]
    assert lines[INK] == [3, 2, rate(2, 2), rate(2, 2), rate(1, 1), rate(0, 3)]
    assert lines[GREY] == [1, 1, rate(0, 1), "none", "none", rate(0, 1)]
    assert lines[UNCHANGED] == [1, 1, rate(1, 1), rate(0, 1), "none", rate(0, 1)]
    assert lines[WAVE][0] == 0
    assert lines[CLEAN][-1] == rate(1, 4)


def test_each_trainer_has_what_stands_beside_what_the_others_choose():
    lines = trainer_rows(FOUND, list(leave_one_out(FOUND)))
    assert [line[0] for line in lines] == ["a", "b"]
    assert lines[0][1:5] == [4, 1, 0, 0]
    assert lines[1][1:5] == [0, 0, 3, 2]


def test_the_choice_adds_up_all_trainers():
    counted = [Counted("a", THRESHOLDS, 10, 1, 5, 4), Counted("b", THRESHOLDS, 20, 0, 7, 7)]
    said = choice(counted)
    assert rate(1, 30) in said
    assert rate(11, 12) in said


def test_the_references_of_either_source_are_told_apart():
    """Of two references the first, of the test half, reads nothing; the second reads all that the network does."""
    clean = network("a", CLEAN, 0.9, 0.0)
    (only,) = clean.findings
    clean = replace(clean, findings=(replace(only, references=np.array([0.0, 0.9])),), of_test=1)
    lines = {line[0]: line[1] for line in source_rows([clean])}
    assert lines[OF_THE_TEST_HALF] == rate(1, 1)
    assert lines[OF_THE_TRAIN_HALF] == lines[OF_BOTH] == rate(0, 1)


def test_makes_and_standardised_pixels_are_counted_alike():
    (dense, *others) = make_rows(FOUND)
    assert dense[:4] == ["dense", len(FOUND), rate(1, 4), rate(2, 3)]
    assert all(line[1] == 0 for line in others)
    said = apart_words(FOUND)
    assert rate(1, 4) in said
    assert rate(4, 5) in said


def test_a_hint_that_parts_all_has_the_whole_area():
    odd = [
        replace(one, hint=dict.fromkeys(("norm", "sum", "largest", "tail"), 0.0 if one.clean else 9.0))
        for one in FOUND
    ]
    *looks, audit = hint_rows(odd)
    working = sum(one.working for one in FOUND)
    for line in looks:
        assert line[2].startswith("1.00")
        assert line[3] == rate(working, working)
    assert audit[0] == "the audit"
