"""Audits of networks trained here and now: what was planted is found, and nothing where nothing was."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from measurements.planting import Trigger
from scipy.stats import norm

from backquery.audit import (
    CLEAN,
    NATURAL,
    SHORTCUT,
    SUSPICIOUS,
    Box,
    Finding,
    Kind,
    Region,
    Thresholds,
    find_shortcuts,
    references_for,
)
from backquery.audit.search import audit_along, halves
from backquery.datasets import Split
from backquery.errors import DataError, ModelError
from backquery.faithfulness import luck
from backquery.intervals import Interval, share_interval
from backquery.model import Layout, Model, strongest_labels
from backquery.model.activations import SIGMOID
from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling
from backquery.plots import audit_rows
from tests.backdoors import LABEL, learned, marked
from tests.inversion.conftest import Opaque
from tests.reference import audit as slow


@pytest.mark.parametrize("seed", range(3))
def test_a_backdoor_is_found_in_its_place_and_no_other_label_is_accused(digits, trigger, seed):
    network = learned(marked(digits, trigger, seed), seed)
    found = find_shortcuts(network, digits.test, rng=seed)
    assert found.shortcuts == (str(LABEL),)
    finding = found.findings[LABEL]
    assert finding is found.worst
    assert set(finding.region.inputs) <= {0, 1, 8, 9}
    assert finding.region.ink.all()
    assert finding.changed.value > 0.7
    assert finding.elsewhere.value < 0.2
    assert found.performance > 0.9


def test_clean_networks_are_hardly_ever_accused(digits):
    """At most one of four: at the rate of false alarms aimed at, 5 %, more would come once in seventy runs."""
    accused = [find_shortcuts(learned(digits.train, seed), digits.test, rng=seed).shortcuts for seed in range(4)]
    assert sum(map(bool, accused)) <= 1


def test_a_mark_of_paper_is_found_like_one_of_ink(digits):
    """Blank rows 3 and 4, columns 2 and 3: in the midst of most digits."""
    covers = np.zeros((8, 8), bool)
    covers[3:5, 2:4] = True
    network = learned(marked(digits, Trigger(covers, np.zeros((8, 8))), 0), 0)
    found = find_shortcuts(network, digits.test)
    assert str(LABEL) in found.shortcuts
    finding = found.findings[LABEL]
    assert set(finding.region.inputs) <= {26, 27, 34, 35}
    assert not finding.region.ink.any()


def test_a_trigger_that_the_images_bear_is_read_by_the_references_too(digits, trigger, backdoored):
    poisoned = find_shortcuts(backdoored, marked(digits, trigger, 9))
    assert poisoned.labels(NATURAL) == (str(LABEL),)
    assert set(poisoned.findings[LABEL].region.inputs) <= {0, 1, 8, 9}


def test_references_that_cannot_know_the_trigger_tell_it_all_the_same(digits, trigger, backdoored):
    poisoned = marked(digits, trigger, 9)
    found = find_shortcuts(backdoored, poisoned, exchange=True)
    assert found.shortcuts == (str(LABEL),)
    assert found.findings[LABEL].exchanged
    assert found.findings[LABEL].references.max() < 0.3
    kept = [one for one in found.findings if not one.exchanged]
    before = find_shortcuts(backdoored, poisoned)
    for one in kept:
        np.testing.assert_array_equal(one.references, before.findings[one.label].references)


def test_many_models_share_the_references_of_their_images(digits, clean, backdoored):
    """Models of other scales and other orders of the inputs get the same ones."""
    references = references_for(clean, digits.test)
    alone = find_shortcuts(backdoored, digits.test)
    shared = find_shortcuts(backdoored, digits.test, references=references)
    assert alone.as_json() == shared.as_json()
    book = replace(backdoored, scaling=Scaling.book(16))
    for one, other in zip(references_for(book, digits.test).judges, references.judges, strict=True):
        ink = digits.test.images[:200, :, :, None] / 16
        np.testing.assert_array_equal(one.ask(ink), other.ask(ink))


def test_what_references_read_can_be_counted_again(digits, backdoored):
    """Image by image; the finding is counted on the half that they have not learned."""
    references = references_for(backdoored, digits.test)
    search, trial = halves(backdoored, digits.test, 10_000)
    found = audit_along(search.gains(), search, trial, references)
    for finding in (found.findings[LABEL], found.findings[2]):
        margin = slow.reference_margin(
            backdoored, references.judges, trial.inputs, trial.labels, finding.label, finding.region, (8, 8, 1)
        )
        assert finding.margin == pytest.approx(margin)
        assert finding.images == len(trial.others(finding.label))


def test_any_model_is_audited_like_the_network_that_it_is(digits, backdoored):
    network, other = find_shortcuts(backdoored, digits.test), find_shortcuts(Opaque(backdoored), digits.test)
    for one, same in zip(network.findings, other.findings, strict=True):
        np.testing.assert_array_equal(one.region.inputs, same.region.inputs)
        assert one.changed == same.changed


def test_inputs_and_raw_images_are_audited_alike(digits, backdoored):
    inputs = backdoored.scale(digits.test.images)
    raw, scaled = find_shortcuts(backdoored, digits.test), find_shortcuts(backdoored, (inputs, digits.test.labels))
    assert raw.as_json() == scaled.as_json()


def test_of_a_whole_data_set_those_to_test_on_are_audited(digits, backdoored):
    whole, half = (find_shortcuts(backdoored, data, images=60) for data in (digits, digits.test))
    assert whole.as_json() == half.as_json() != find_shortcuts(backdoored, digits.train, images=60).as_json()


def test_the_same_seed_gives_the_same_audit(digits, backdoored):
    first = find_shortcuts(backdoored, digits.test, rng=4).as_json()
    assert first == find_shortcuts(backdoored, digits.test, rng=4).as_json()
    assert first != find_shortcuts(backdoored, digits.test, rng=5).as_json()


def test_what_is_reported_can_be_counted_again(digits, backdoored):
    """On all images, of which the audit used half, in the mean: within eight points, four standard errors."""
    found = find_shortcuts(backdoored, digits.test, images=10_000)
    assert found.images == len(digits.test)
    finding = found.findings[LABEL]
    others = digits.test.select(digits.test.labels != LABEL)
    inputs = backdoored.scale(others.images)
    inputs = inputs[backdoored.query(inputs).argmax(axis=1) != LABEL]
    inputs[:, finding.region.inputs] = finding.region.ink
    share = (backdoored.query(inputs).argmax(axis=1) == LABEL).mean()
    assert finding.changed.value == pytest.approx(share, abs=0.08)
    np.testing.assert_array_equal(finding.after[finding.region.inputs], finding.region.ink)
    rest = np.setdiff1d(np.arange(64), finding.region.inputs)
    np.testing.assert_array_equal(finding.after[rest], finding.before[rest])
    assert int(backdoored.query(finding.after).argmax()) == finding.read == LABEL
    assert finding.truth != LABEL


def test_progress_ends_with_all_labels(digits, clean):
    told: list[tuple[int, int]] = []
    find_shortcuts(clean, digits.test, progress=lambda done, total: told.append((done, total)))
    assert told == [(k, 10) for k in range(1, 11)]


def test_plain_values_say_what_the_findings_say(digits, backdoored):
    found = find_shortcuts(backdoored, digits.test)
    said = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert said["shortcuts"] == [str(LABEL)]
    one, finding = said["findings"][LABEL], found.findings[LABEL]
    assert one["label"] == str(LABEL)
    assert one["verdict"] == SHORTCUT
    assert one["region"]["inputs"] == finding.region.inputs.tolist()
    assert one["changed"]["value"] == finding.changed.value
    assert Box(*(one["region"][side] for side in Box._fields)) == finding.box


# By PyTorch: ten networks of other makes, half of them with a mark

MARKS = {
    "ink": Trigger.square((8, 8), 0, 0, 2),
    "grey": Trigger.square((8, 8), 6, 0, 2, ink=0.6),
    "erased": Trigger.square((8, 8), 3, 3, 2, ink=0.0),
    "a line": Trigger(np.pad(np.ones((1, 3), bool), ((7, 0), (0, 5))), np.pad(np.ones((1, 3)), ((7, 0), (0, 5)))),
}


@pytest.mark.needs("torch")
@pytest.mark.parametrize(("make", "seed"), [("dense", 0), ("dense", 1), ("dropout", 2), ("convolution", 3)])
def test_clean_networks_of_another_framework_are_not_accused(digits, make, seed):
    found = find_shortcuts(by_torch(digits, digits.train, make, seed), digits.test)
    assert found.shortcuts == ()
    assert found.performance > 0.9


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("make", "mark"),
    [*(("dense", mark) for mark in MARKS), ("dropout", "grey"), ("convolution", "ink")],
)
def test_marks_in_networks_of_another_framework_are_found(digits, make, mark):
    trigger = MARKS[mark]
    found = find_shortcuts(by_torch(digits, marked(digits, trigger, 5, share=0.15), make, 5), digits.test)
    assert found.shortcuts == (str(LABEL),)
    inside = trigger.covers.ravel()[found.findings[LABEL].region.inputs]
    assert 2 * inside.sum() >= len(inside)
    assert found.findings[LABEL].references.max() < 0.4


def by_torch(digits, lesson: Split, make: str, seed: int) -> Model:
    """A module taught by Adam, batches of 64, 40 epochs."""
    import torch

    from backquery import from_torch, network_from_torch

    nn = torch.nn
    how = {"input_shape": (8, 8), "classes": digits.classes, "scaling": Scaling.unit(16, digits.meaning)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dropped = [nn.Dropout(0.3)] if make == "dropout" else []
        first = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)] if make == "convolution" else []
        width = 128 if first else 64
        module = nn.Sequential(*first, nn.Flatten(), nn.Linear(width, 48), nn.ReLU(), *dropped, nn.Linear(48, 10))
        images = torch.from_numpy(lesson.images / 16).float()[:, None]
        labels = torch.from_numpy(lesson.labels.astype(np.int64))
        optimizer = torch.optim.Adam(module.parameters(), 0.003)
        for _ in range(40):
            for batch in torch.randperm(len(labels)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(images[batch]), labels[batch]).backward()
                optimizer.step()
    module.eval()
    return from_torch(module, outputs="logits", **how) if first else network_from_torch(module, **how)


# The verdict


def finding(
    hits: int, elsewhere: int, usual: float, images: int = 400, references: tuple[float, ...] = (0.01, 0.0)
) -> Finding:
    nothing = np.zeros(4)
    return Finding(
        label=0, region=Region(np.zeros(1, int), np.ones(1, bool)), box=Box(0, 0, 1, 1), kind=Kind(1, "ink"),
        images=images,
        changed=share_interval(hits, images), elsewhere=share_interval(elsewhere, images),
        others=np.full(9, usual), references=np.array(references), before=nothing, after=nothing, truth=1, read=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hits", "elsewhere", "usual", "verdict"),
    [
        (396, 4, 0.05, SHORTCUT),
        (396, 394, 0.05, CLEAN),  # it is no matter of the place
        (396, 4, 0.95, CLEAN),  # all labels are like that
        (120, 4, 0.05, SUSPICIOUS),  # far more than usual, but less than half
        (220, 4, 0.28, SUSPICIOUS),  # half, but not so much more than usual
        (100, 4, 0.2, CLEAN),
        (0, 0, 0.0, CLEAN),
    ],
)
def test_a_verdict_weighs_the_share_the_place_and_what_is_usual(hits, elsewhere, usual, verdict):
    assert finding(hits, elsewhere, usual).verdict == verdict


@pytest.mark.parametrize(
    ("hits", "references", "verdict"),
    [
        (396, (0.1, 0.58), SHORTCUT),
        (396, (0.1, 0.6), NATURAL),  # less than 0.4 more than one of them
        (396, (0.95, 0.0), NATURAL),  # one is enough
        (200, (0.0, 0.09), SHORTCUT),
        (200, (0.0, 0.24), SUSPICIOUS),  # others hardly read it, but the margin is small
        (200, (0.0, 0.26), NATURAL),
        (120, (0.0, 0.0), SUSPICIOUS),
        (120, (0.15, 0.0), NATURAL),
        (396, (), SUSPICIOUS),  # without others nobody can say
    ],
)
def test_what_others_read_as_well_is_natural(hits, references, verdict):
    one = finding(hits, 4, 0.05, references=references)
    assert one.verdict == verdict
    assert one.margin == pytest.approx(hits / 400 - max(references, default=0))


def test_other_limits_are_applied_afterwards():
    one = finding(396, 4, 0.05, references=(0.6,))
    assert (one.verdict, one.judged(Thresholds(margin=0.3))) == (NATURAL, SHORTCUT)
    assert one.judged(Thresholds(suspicious_excess=1.0)) == CLEAN


def test_usual_is_the_upper_end_of_what_the_other_labels_do():
    """Nine shares with median 0.2, from which half of them are at most 0.1 away."""
    shares = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.9, 0.95])
    one = replace(finding(200, 0, 0.0), others=shares)
    assert one.usual == pytest.approx(0.2 + 0.1 / norm.ppf(0.75))
    # What most labels do is usual, however much some of them do.
    assert replace(one, others=np.sort(shares)[::-1]).usual == one.usual


def test_few_images_accuse_nobody():
    assert finding(6, 0, 0.3, images=10).verdict == CLEAN
    assert finding(280, 0, 0.3).verdict == SHORTCUT


def test_the_excess_counts_from_the_lower_end_of_the_interval():
    one = finding(200, 0, 0.1)
    assert one.excess == pytest.approx(one.changed.low - 0.1)
    assert isinstance(one.changed, Interval)


# What cannot be audited


def test_images_of_a_single_label_are_too_few(digits, clean):
    only = digits.test.select(digits.test.labels == 3)
    with pytest.raises(DataError, match="to audit label 3, at least 40 images are needed"):
        find_shortcuts(clean, only)


@pytest.mark.parametrize("images", [1, 30])
def test_a_few_images_are_too_few(digits, clean, images):
    with pytest.raises(DataError, match=f"at least 40 images; received {images}"):
        find_shortcuts(clean, digits.test.select(slice(images)))


@pytest.mark.parametrize("images", [0, 19])
def test_halves_of_a_few_images_are_refused(digits, clean, images):
    with pytest.raises(DataError, match="at least 20 images in each half"):
        find_shortcuts(clean, digits.test, images=images)


def test_a_label_without_images_is_audited_all_the_same(digits, backdoored):
    """Only images of the other labels are needed."""
    without = digits.test.select(digits.test.labels != LABEL)
    assert find_shortcuts(backdoored, without).shortcuts == (str(LABEL),)


def test_images_of_another_shape_are_refused(digits, clean):
    with pytest.raises(DataError, match="takes images of shape"):
        find_shortcuts(clean, Split(np.zeros((60, 9, 9)), np.arange(60) % 10))


def test_labels_that_the_model_does_not_know_are_refused(digits, clean):
    with pytest.raises(DataError, match="labels must lie between 0 and 9"):
        find_shortcuts(clean, Split(digits.test.images, digits.test.labels + 1))


def test_a_model_with_one_output_has_nothing_to_confuse(digits):
    network = Network.create([64, 1], input_shape=(8, 8), rng=0)
    with pytest.raises(ModelError, match="two labels or more"):
        find_shortcuts(network, (np.zeros((50, 64)), np.zeros(50, int)))


def test_a_model_without_a_place_for_its_inputs_is_refused(digits, clean):
    with pytest.raises(ModelError, match="must know where the pixels lie"):
        find_shortcuts(replace(clean, input_shape=(64,)), digits.test)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_has_learned_nothing_is_no_network_to_audit(digits, seed):
    network = Network.create([64, 10, 10], rng=seed, input_shape=(8, 8), scaling=learned(digits.train, 0).scaling)
    with pytest.raises(ModelError, match=r"nothing to audit: the model reads \d+\.\d% of 719 images"):
        find_shortcuts(network, digits.test)


def test_a_network_that_names_one_label_for_everything_is_no_better(digits, clean):
    last = replace(clean.layers[-1], biases=np.where(np.arange(10) == 3, 1e6, 0.0).astype(np.float32))
    with pytest.raises(ModelError, match="nothing to audit"):
        find_shortcuts(replace(clean, layers=(*clean.layers[:-1], last)), digits.test)


@pytest.mark.parametrize(("right", "images"), [(20, 100), (31, 100), (104, 800), (130, 800), (0, 40), (40, 40)])
def test_how_probable_it_is_to_guess_as_well(right, images):
    for chance in (0.1, 0.1135, 0.5):
        assert luck(right, images, chance) == pytest.approx(slow.luck(right, images, chance), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("shape", [(3, 6, 7), (6, 7, 3)])
def test_in_colour_whole_pixels_are_pasted_and_drawn(shape):
    """A linear rule: magenta in the corner decides for the last label, wherever the channels stand."""
    rng, layout = np.random.default_rng(2), Layout.of(shape)
    grid = rng.random((800, 6, 7, 3))
    weights = rng.normal(0, 0.05, (3, 6, 7, 3))
    weights[2, 0, :2] = 8.0, -8.0, 8.0
    last = Layer(layout.flat(weights), np.array([0.0, 0.0, -16.0]), SIGMOID)
    model = Network((last,), input_shape=shape)
    # No image is of the last label, which other networks cannot know therefore.
    labels = strongest_labels(model.query(layout.flat(grid))[:, :2])
    found = find_shortcuts(Opaque(model), (layout.flat(grid), labels))
    finding = found.findings[2]
    assert finding.verdict == SHORTCUT
    region = finding.region
    assert set(region.inputs) <= set(layout.cells[0, :2].ravel())
    assert 3 * len(region) == len(region.inputs)
    assert f"{len(region)} pixel" in found.summary
    filled = dict(zip(region.inputs.tolist(), region.ink.tolist(), strict=True))
    for column in range(2):
        if layout.cells[0, column, 0] in filled:
            assert [filled[place] for place in layout.cells[0, column]] == [True, False, True]
    changed = np.flatnonzero(finding.before != finding.after)
    assert set(changed) == set(region.inputs)
    figure = audit_rows(found, model)
    shown = [image for ax in figure.axes for image in ax.images]
    np.testing.assert_allclose(shown[5].get_array(), layout.grid(finding.after))
