"""Damage: the fast curves against a network built anew for every node, and what must always hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from backquery import Network, Scaling, evaluate, load_model, train
from backquery.datasets import Dataset
from backquery.errors import ExperimentError, ModelError
from backquery.experiments import damage as module
from backquery.experiments.damage import Trial, measure_damage, node_order, with_noise, without_weights
from backquery.experiments.endurance import Endurance
from backquery.inversion import back_query
from backquery.plots import damage_curves
from backquery.training import Online
from tests.plots.test_plots import assert_nothing_is_clipped
from tests.reference import damage as twin


@pytest.fixture(scope="module")
def few(digits) -> Dataset:
    """Few enough images for loops in Python."""
    return replace(digits, train=digits.train.select(slice(40)), test=digits.test.select(slice(40)))


def trained(digits, sizes, activation, epochs=3, biases=True):
    network = Network.create(
        sizes, activation=activation, biases=biases, rng=3, input_shape=(8, 8), scaling=Scaling.book(16)
    )
    return train(network, digits.train, Online(), epochs=epochs, rng=3)[0]


@pytest.fixture(scope="module")
def plain(digits) -> Network:
    return trained(digits, [64, 12, 10], "sigmoid", biases=False)


@pytest.fixture(scope="module")
def deep(digits) -> Network:
    return trained(digits, [64, 9, 7, 10], ["tanh", "sigmoid", "sigmoid"])


@pytest.fixture(scope="module")
def found(deep, digits):
    return measure_damage(deep, digits, repeats=4)


@pytest.mark.parametrize(("name", "layer"), [("plain", 1), ("deep", 1), ("deep", 2)])
def test_nodes_put_back_one_after_the_other_read_like_networks_built_anew(name, layer, few, request):
    network = request.getfixturevalue(name)
    trial = Trial.of(network, few, back_query(network, range(10), method="transpose"))
    order = np.random.default_rng(layer).permutation(network.sizes[layer])
    fast = module._reads_without_nodes(trial, layer, order, np.arange(len(order) + 1))
    slow = twin.reads_without_nodes(network, trial.inputs, layer, order.tolist())
    np.testing.assert_array_equal(fast, slow)
    assert len({tuple(row) for row in slow}) > 3, "damage changes what is read"


def test_several_nodes_at_a_time_give_the_same_as_one_by_one(deep, few):
    trial = Trial.of(deep, few, back_query(deep, [3]))
    order = np.arange(9)[::-1]
    every = module._reads_without_nodes(trial, 1, order, np.arange(10))
    some = module._reads_without_nodes(trial, 1, order, np.array([0, 2, 7, 9]))
    np.testing.assert_array_equal(some, every[[0, 2, 7, 9]])


@pytest.mark.parametrize("layer", [1, 2])
def test_the_evidence_of_a_node_is_the_first_order_fall_of_the_margin(deep, few, layer):
    """Central differences in float64, step 1e-5: rounding 1e-11, curvature 1e-10."""
    network = deep.astype("float64")
    slow = twin.evidence(network, network.scale(few.train.images), few.train.labels, layer)
    np.testing.assert_allclose(module._evidence(network, few, layer), slow, atol=1e-7)
    assert node_order(network, few, layer, "evidence").tolist() == np.argsort(-slow).tolist()


def test_the_heaviest_node_has_the_largest_weights_to_the_next_layer(plain, few):
    order = node_order(plain, few, 1, "heaviest")
    norms = [sum(float(w) ** 2 for w in plain.layers[1].weights[:, node]) for node in order]
    assert norms == sorted(norms, reverse=True)


def test_single_weights_are_removed_where_they_stand(deep):
    damaged = without_weights(deep, [0, 65, 64 * 9 + 3])
    assert damaged.layers[0].weights[0, 0] == 0
    assert damaged.layers[0].weights[1, 1] == 0
    assert damaged.layers[1].weights[0, 3] == 0
    changed = sum(int(np.sum(a.weights != b.weights)) for a, b in zip(deep.layers, damaged.layers, strict=True))
    assert changed == 3
    assert damaged.dtype == deep.dtype
    np.testing.assert_array_equal(damaged.layers[1].biases, deep.layers[1].biases)


def test_noise_is_as_wide_as_it_says_in_every_layer():
    """20,000 weights a layer: the spread is estimated within 2 % (four standard errors)."""
    network = Network.create([200, 100, 200], rng=1)
    noisy = with_noise(network, 0.5, rng=2)
    for before, after in zip(network.layers, noisy.layers, strict=True):
        change = after.weights - before.weights
        assert change.std() == pytest.approx(0.5 * before.weights.std(), rel=0.02)
    same = with_noise(network, 0.5, rng=2)
    np.testing.assert_array_equal(same.layers[0].weights, noisy.layers[0].weights)
    wide = replace(network.layers[0], weights=np.float32(1e25) * network.layers[0].weights.astype(np.float32))
    noisy = with_noise(replace(network, layers=(wide, *network.layers[1:])), 0.5, rng=2)
    assert np.isfinite(noisy.layers[0].weights).all(), "squares of such weights leave the range of float32"
    np.testing.assert_array_equal(with_noise(network, 0.0, rng=2).layers[1].weights, network.layers[1].weights)


def test_every_kind_of_damage_is_there_and_starts_at_the_intact_network(found, deep, digits):
    ways = [(one.what, one.order, one.layer) for one in found.endurances]
    orders = ("random", "heaviest", "evidence")
    assert ways == [("nodes", order, layer) for layer in (1, 2) for order in orders] + [
        ("weights", "random", None),
        ("weights", "heaviest", None),
        ("noise", "random", None),
    ]
    performance = np.mean(deep.query_images(digits.test.images).argmax(axis=1) == digits.test.labels)
    assert found.performance == pytest.approx(performance)
    for one in found.endurances:
        assert one.amounts[0] == 0
        assert len(one.right) == (4 if one.order == "random" else 1)
        assert one.performance().value[0] == pytest.approx(performance)
        assert one.reading().value[0] == np.mean(found.scans.read == np.arange(10))
        by_label = [one.performance(label).value for label in range(10)]
        np.testing.assert_allclose(np.average(by_label, axis=0, weights=one.images), one.performance().value)
        assert one.what == "noise" or one.shares[-1] == 1


def test_a_network_that_lost_everything_guesses(found):
    for one in found.endurances:
        if one.what != "noise":
            most = one.images.max() / one.images.sum()
            assert one.performance().value[-1] <= most + 1e-12


def test_a_saturated_network_is_read_as_evaluate_reads_it(plain, digits):
    """Its answers round to 1 and 0 in float32, and only its logits tell them apart."""
    loud = replace(plain.layers[1], weights=100 * plain.layers[1].weights)
    network = replace(plain, layers=(plain.layers[0], loud))
    answers = network.query(network.scale(digits.test.images))
    assert np.any(np.sort(answers)[:, -1] == np.sort(answers)[:, -2]), "some answers tie"
    evaluation = evaluate(network, digits.test)
    damage = measure_damage(network, digits, what=["nodes"], repeats=2, stages=[])
    assert damage.performance == evaluation.performance > np.mean(answers.argmax(axis=1) == digits.test.labels)


def test_the_same_seed_does_the_same_damage_and_another_another(plain, few):
    one, again, other = (
        measure_damage(plain, few, repeats=3, stages=(0.5,), rng=seed).as_json() for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_one_half_alone_will_do(plain, few):
    of_half = measure_damage(plain, few.to_test_on, what=["nodes"], repeats=2, stages=(), rng=1)
    of_set = measure_damage(
        plain, replace(few, train=few.to_test_on, test=None), what=["nodes"], repeats=2, stages=(), rng=1
    )
    assert of_half.as_json() == of_set.as_json()


def test_losing_the_nodes_with_most_evidence_costs_more_than_losing_any(digits):
    """Over three networks, well trained: the area under the curve, far apart."""
    for activation in ("sigmoid", "tanh", "relu"):
        network = trained(digits, [64, 40, 10], activation, epochs=10)
        curves = {one.order: one for one in measure_damage(network, digits, what=["nodes"], stages=()).endurances}
        areas = {order: float(one.performance().value.mean()) for order, one in curves.items()}
        assert areas["evidence"] < areas["random"] - 0.05


def endurance(curves, what="nodes", images=100, total=None):
    right = np.rint(np.array(curves) * images).astype(np.int64)[:, :, None]
    amounts = np.arange(right.shape[1], dtype=float)
    scans = np.zeros(right.shape[:2], np.int64)
    return Endurance(what, "random", 1, amounts, total or len(amounts) - 1, right, np.array([images]), scans, 1)


def test_until_is_the_last_amount_before_the_curve_falls_under_the_value():
    one = endurance([[0.9, 0.9, 0.8, 0.95, 0.1]])
    assert one.until(0.85).value == 1
    assert one.until(0.8).value == 3
    assert one.until(0.95).value == 0
    assert one.until(0.05).value is None
    assert endurance([[0.9, 0.8, 0.4]], what="noise").until(0.6).value == pytest.approx(1.5)


def test_the_bounds_of_until_are_where_the_bounds_of_the_performance_fall():
    """Two curves: at each amount, the half-width is 12.7 standard errors (Student, one degree of freedom)."""
    one = endurance([[0.9, 0.9, 0.81, 0.7, 0.2], [0.9, 0.9, 0.8, 0.5, 0.2]])
    assert one.half() == (3, 2, 3)
    assert one.one_point().value == 1
    band = one.performance()
    assert band.low[2] == pytest.approx(0.805 - 12.7062 * 0.005, abs=1e-4)
    assert band.high[0] == band.low[0] == 0.9


def test_a_single_hidden_layer_and_none_at_all(digits):
    network = trained(digits, [64, 10], ["sigmoid"])
    found = measure_damage(network, digits, repeats=2)
    assert [one.what for one in found.endurances] == ["weights", "weights", "noise"]
    assert found.stages == ()
    with pytest.raises(ModelError, match="no hidden layer"):
        measure_damage(network, digits, what=["nodes"])


def test_a_label_without_test_images_has_no_performance_of_its_own(plain, digits):
    """And everything else is as it is without it: nothing is divided by no images."""
    without = replace(digits, test=digits.test.select(digits.test.labels != 3))
    found = measure_damage(plain, without, what=["nodes"], repeats=2, stages=[])
    for one in json.loads(json.dumps(found.as_json(), allow_nan=False))["damages"]:
        assert [n for n, shares in enumerate(one["performance_by_label"]) if shares is None] == [3]
    assert_nothing_is_clipped(damage_curves(found))


def test_stages_show_what_the_damaged_network_sees(found, deep):
    assert [stage.removed for stage in found.stages] == [0, 2, 4, 7, 8]
    assert found.stages[0].performance == pytest.approx(found.performance)
    for stage in found.stages:
        assert stage.scans.images.shape == (10, 64)
        np.testing.assert_array_equal(stage.read_by_intact, deep.query(stage.scans.images).argmax(axis=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"what": ["nodes", "biases"]},
            "choose what to damage from nodes, weights, noise; received nodes, biases",
        ),
        ({"what": []}, "choose what to damage"),
        ({"stages": [0.5, 50]}, r"from 0 to 1; received \[0.5, 50\]"),
        ({"repeats": 1}, "at least 2 repeats; received 1"),
    ],
)
def test_settings_without_sense_are_refused(plain, few, settings, message):
    with pytest.raises(ExperimentError, match=message):
        measure_damage(plain, few, **settings)


def test_a_model_that_does_not_show_its_weights_is_refused(plain, few):
    class Foreign:
        def __getattr__(self, name):
            return getattr(plain, name)

    with pytest.raises(ModelError, match=r"weights of a chain of dense layers.* it is a Foreign"):
        measure_damage(Foreign(), few)


def test_the_picture_says_the_number_and_draws_what_was_counted(found, plain, few):
    figure = damage_curves(found)
    random = found.of("nodes", 1)[0]
    number = random.one_point().value
    said = f"{number:.0f} of 9 nodes can go at random before" if number else "The first of 9 nodes to go costs"
    assert figure.texts[0].get_text().startswith(said)
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    assert any(np.array_equal(y, 100 * random.performance().value) for y in drawn if len(y) == 10)
    assert len(figure.axes) == 4 * 3 + 1
    assert len(figure.axes[-1].images) == len(found.stages) * 10
    dashed = [
        patch for patch in figure.axes[-1].patches if patch.get_linestyle() != "-" and patch.get_linewidth() > 1
    ]
    assert len(dashed) == sum(int(np.sum(~stage.scans.read_as_asked)) for stage in found.stages)
    assert_nothing_is_clipped(figure)
    assert_nothing_is_clipped(damage_curves(measure_damage(plain, few, what=["noise"], repeats=2)))
    assert_nothing_is_clipped(damage_curves(measure_damage(plain, few, what=["nodes"], repeats=2, stages=())))


def test_curves_that_fall_late_leave_their_names_room_and_what_was_not_reached_is_said(plain, few):
    """Both kinds beside each other: the names stand where no curve is, and no title runs out of the picture."""
    damage = measure_damage(plain, few, repeats=2, stages=())
    nodes = damage.of("nodes", 1)
    late = np.where(np.arange(len(nodes[0].amounts)) < 0.9 * nodes[0].amounts[-1], 1.0, 0.0)
    images = nodes[0].images
    lasting = tuple(
        replace(one, right=np.rint(late[None, :, None] * images).astype(int)) if one.what == "nodes" else one
        for one in damage.endurances
    )
    never = tuple(replace(one, right=one.right[:, :1].repeat(len(one.amounts), 1)) for one in damage.of("noise"))
    figure = damage_curves(replace(damage, endurances=(*lasting[:-1], *never)))
    places = [text.get_position() for text in figure.axes[0].texts if text.get_text() in ("random", "heaviest")]
    assert places and all(x < 0.2 and y < 0.3 for x, y in places)
    early = damage_curves(damage).axes[0]
    assert all(text.get_position()[0] > 0.7 for text in early.texts if text.get_text() in ("random", "heaviest"))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert "noise: >300 % until one point" in titles
    assert_nothing_is_clipped(figure)


def test_the_bundled_network_survives_the_loss_of_some_nodes(mnist):
    """What docs/measured.md says, with room for other seeds: the mean of 20 removals hardly moves."""
    found = measure_damage(load_model("mnist"), mnist, what=["nodes"], stages=())
    random, heaviest, evidence = found.of("nodes", 1)
    assert 10 <= random.one_point().value <= 40
    assert 140 <= random.half().value <= 180
    assert heaviest.one_point().value < 10
    assert evidence.half().value < heaviest.half().value < random.half().low
