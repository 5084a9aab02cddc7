"""What the faithful back query promises, on MNIST: eight networks, ten labels each, and the controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks import faithful

from backquery import evaluate
from backquery.faithfulness import control_networks
from backquery.inversion import back_query, confidence
from tests.needs import needs

LABELS = np.arange(10)


@pytest.fixture(scope="module")
def judge(mnist, monkeypatch_module, tmp_path_factory):
    """The convolutional judge, trained here and now: no cache of an earlier run."""
    needs("torch")
    monkeypatch_module.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    return faithful.convolutional_judge(mnist)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_the_judge_reads_real_images_well(judge):
    assert judge.performance >= 0.985


def test_all_80_typical_back_queries_are_read_as_asked(mnist, judge):
    agreed = 0
    for name in faithful.RECIPES:
        network = faithful.trained(name)
        assert evaluate(network, mnist.test).performance >= 0.97, name
        result = back_query(network, LABELS, method="gauss-newton")
        assert result.question == "typical"
        np.testing.assert_array_equal(network.query(result.images).argmax(axis=1), LABELS, err_msg=name)
        assert result.outcome == ("converged",) * 10, name
        assert result.logit_error.max() < 1e-3, name
        assert np.abs(result.answers - result.targets).max() < 1e-3, name
        agreed += int(np.sum(judge.ask(network.scaling.ink(result.images)) == LABELS))
    assert agreed >= 78


def test_at_99_percent_all_are_read_as_asked_and_what_did_not_converge_is_called_by_its_name(mnist):
    for name in faithful.RECIPES:
        network = faithful.trained(name)
        result = back_query(network, LABELS, method="gauss-newton", confidence=0.99)
        np.testing.assert_array_equal(network.query(result.images).argmax(axis=1), LABELS, err_msg=name)
        far = result.logit_error >= 1e-3
        assert all((outcome == "converged") != missed for outcome, missed in zip(result.outcome, far, strict=True))
        assert all(advice for advice, missed in zip(result.advice, far, strict=True) if missed)


def test_the_book_s_formula_misses_most_of_them(mnist):
    read = [
        int(np.sum(back_query(faithful.trained(name), LABELS, method="transpose").read == LABELS))
        for name in faithful.RECIPES
        if name.startswith("the book's")
    ]
    assert len(read) == 5
    assert sum(read) <= 25


def test_controls_stay_near_chance(mnist, judge):
    """At 0.99 nothing but the network knows the labels: without learning, the judge is right by chance (1 of 10).

    Three networks, ten images each: fewer than eight agreements out of 30 by luck alone in 99 % of all cases.
    """
    network = faithful.trained("the book's, seed 1")
    controls = control_networks(network, mnist, np.random.default_rng(0))
    moved = controls.pop("labels moved by one")
    agreed = 0
    for control in controls.values():
        images = back_query(control, confidence(control, LABELS, 0.99), method="gauss-newton").images
        agreed += int(np.sum(judge.ask(control.scaling.ink(images)) == LABELS))
    assert agreed < 8
    images = back_query(moved, LABELS, method="gauss-newton").images
    assert int(np.sum(judge.ask(moved.scaling.ink(images)) == (LABELS - 1) % 10)) >= 9


def test_another_data_set_needs_no_tuning():
    """The 8 x 8 digits: other size, other scale, other network; the same call."""
    from backquery import Network, Scaling, datasets, train
    from backquery.inversion import fit_statistics

    digits = datasets.load("digits")
    for activation in ("sigmoid", "tanh", "relu"):
        fresh = Network.create(
            [64, 40, 10], activation=[activation, "softmax"], biases=True, rng=3, input_shape=(8, 8),
            scaling=Scaling.unit(digits.maximum),
        )  # fmt: skip
        network, _ = train(fresh, digits.train, faithful.ONLINE, epochs=30, rng=3)
        network = replace(network, statistics=fit_statistics(network, digits.train))
        assert evaluate(network, digits.test).performance >= 0.9
        result = back_query(network, LABELS)
        np.testing.assert_array_equal(network.query(result.images).argmax(axis=1), LABELS)
        assert result.logit_error.max() < 1e-3
