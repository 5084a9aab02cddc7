"""What the page says of typical answers is summed from the rows that are printed."""

from __future__ import annotations

from measurements.typical import sums, verdict

ROWS = [
    ["mnist: judges", "", "", "", "", "", "96.4%", "92.3%", "99.0%", "", ""],
    ["mnist: one", "97.0%", "median", "10/10", "4/10", "0.3", 5, 6, 7, 1, 0],
    ["mnist: all", "", "median", "10/10", "4/10", "0.3", 5, 6, 7, 1, 0],
    ["mnist: all", "", "medoid", "10/10", "7/10", "0.1", 6, 7, 8, 1, 2],
    ["animals: all", "", "median", "20/20", "11/20", "0.4", 1, 2, 3, 0, 0],
    ["animals: all", "", "medoid", "20/20", "15/20", "0.2", 3, 2, 1, 4, 1],
]


def test_all_data_sets_are_summed_for_each_rule() -> None:
    assert sums(ROWS, "median") == {"within": 15, "labels": 30, "judges": "6, 8, 10", "again": 1, "real": 0}
    assert sums(ROWS, "medoid") == {"within": 22, "labels": 30, "judges": "9, 9, 9", "again": 5, "real": 3}


def test_the_verdict_says_both() -> None:
    assert "**By the medoid 22 of 30 images give all log-odds as asked, by the median 15.**" in verdict(ROWS)


def test_what_is_missing_is_not_summed() -> None:
    missing = [["animals: left out", *[""] * 10]]
    assert sums(ROWS[:4] + missing, "medoid")["labels"] == 10
