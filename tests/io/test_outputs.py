"""What outputs are is seen from enough of them, and what is said of them must not contradict."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from backquery.errors import AssumptionWarning, ModelError
from backquery.io.outputs import kind_of, settled
from backquery.model import SIGMOID, SOFTMAX

SCORES = np.random.default_rng(0).normal(size=(30, 4)) * 3
PROBABILITIES, SIGMOIDS = SOFTMAX.function(SCORES), SIGMOID.function(SCORES)


def test_what_outputs_are_is_seen() -> None:
    assert kind_of(SCORES) == kind_of(np.log(PROBABILITIES)) == "logits"
    assert kind_of(PROBABILITIES) == kind_of(PROBABILITIES.astype(np.float16)) == "probabilities"
    assert kind_of(SIGMOIDS) == "sigmoids"
    assert kind_of(SIGMOIDS[:, :1]) == "probabilities"
    assert kind_of(np.stack([SIGMOIDS[:, 0], 1 - SIGMOIDS[:, 0]], axis=1)) == "probabilities"


def test_logits_are_certain_and_the_rest_is_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert settled(None, SCORES) == "logits"
        assert settled("probabilities", PROBABILITIES) == "probabilities"
        assert settled("sigmoids", SIGMOIDS[:, :1]) == "probabilities"
    with pytest.warns(AssumptionWarning, match="add up to 1: taken for probabilities .* outputs='probabilities'"):
        assert settled(None, PROBABILITIES) == "probabilities"
    with pytest.warns(AssumptionWarning, match="to 0.9.*: taken for probabilities of the second of two labels"):
        assert settled(None, SIGMOIDS[:, :1]) == "probabilities"
    with pytest.warns(AssumptionWarning, match="taken for independent answers .* outputs='sigmoids'"):
        assert settled(None, SIGMOIDS) == "sigmoids"


@pytest.mark.parametrize(
    ("said", "seen", "advice"),
    [
        ("logits", PROBABILITIES, "say outputs='probabilities'"),
        ("logits", SIGMOIDS, "say outputs='sigmoids'"),
        ("probabilities", SIGMOIDS, "say outputs='sigmoids'"),
        ("sigmoids", PROBABILITIES, "add up to 1, .* say outputs='probabilities'"),
        ("probabilities", SCORES, "run from -.* say outputs='logits'"),
        ("sigmoids", SCORES[:, :1], "say outputs='logits'"),
    ],
)
def test_a_contradiction_is_refused(said, seen, advice) -> None:
    with pytest.raises(ModelError, match=f"outputs='{said}' cannot be: .*{advice}"):
        settled(said, seen)


def test_scores_that_never_leave_the_ends_of_tanh_are_told() -> None:
    with pytest.warns(AssumptionWarning, match="as those of tanh do: .* never pass [78][0-9]%; outputs='logits'"):
        assert settled(None, np.tanh(SCORES)) == "logits"
    with pytest.warns(AssumptionWarning, match="never pass 73%"):
        assert settled(None, np.tanh(3 * SCORES)[:, :1]) == "logits"
    assert settled("logits", np.tanh(SCORES)) == "logits"
