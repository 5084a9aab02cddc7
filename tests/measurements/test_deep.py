"""What the page says of large networks is summed from the rows that are printed."""

from __future__ import annotations

from benchmarks.deep import COLUMNS
from measurements.deep import section, verdict

ROWS = [
    [
        "one",
        "cpu",
        "natural",
        "10/10",
        "9/10",
        "1e-4",
        "9 converged, 1 not found",
        "3.0",
        "4.0",
        "9.5",
        "0.9",
        "0.4",
    ],
    ["two", "cpu", "natural", "10/10", "10/10", "1e-4", "10 converged", "3.0", "4.0", "12.5", "0.9", "0.4"],
    ["one", "card", "natural", "8/10", "7/10", "1e-4", "10 converged", "3.0", "4.0", "1.5", "0.9", "0.4"],
    ["two", "card", "natural", "9/10", "9/10", "1e-4", "10 converged", "3.0", "4.0", "1.25", "0.9", "0.4"],
]


def test_the_verdict_counts_answers_and_names_the_slowest_of_each_device() -> None:
    assert verdict(ROWS) == (
        "**35 of 40 answers are verified; the slowest took 12.5 s (two, cpu), 1.5 s (one, card).**"
    )


def test_every_row_stands_in_the_table() -> None:
    text = section(ROWS)
    assert text.startswith("## Large and deep\n")
    assert all(" | ".join(row) in text for row in [COLUMNS, *ROWS])
    assert max(map(len, text.split("**")[0].splitlines())) <= 115
