"""Colour or shape: networks of which it is known are found out, and the exchange is the formula."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from backquery import Network, datasets, train
from backquery.audit import ColourOrShape, Swap, colour_or_shape, recoloured
from backquery.audit.colours import COLOUR, LUMA, NEITHER, SHAPE, in_grey
from backquery.datasets import Dataset, Split
from backquery.errors import DataError, ModelError
from backquery.intervals import mean_interval, share_interval
from backquery.io import save_model
from backquery.model import Scaling
from backquery.training import RECIPES
from tests.conftest import Run

RNG = np.random.default_rng(4)


def learned(name: str) -> tuple[Network, Dataset]:
    """A network that learned coloured digits, a quarter of their pixels: 16 x 16."""
    whole = datasets.load(name)
    halves = {half: Split(split.images[:, ::2, ::2], split.labels) for half, split in whole.halves}
    dataset = replace(whole, **halves)
    network = Network.create(
        [768, 40, 10], rng=1, input_shape=(16, 16, 3), classes=whole.classes, scaling=Scaling.unit()
    )
    network, _ = train(network, dataset.train, RECIPES["online"], epochs=3, rng=1)
    return network, dataset


@pytest.fixture(scope="module")
def free() -> tuple[Network, Dataset]:
    return learned("coloured-digits")


@pytest.fixture(scope="module")
def tied() -> tuple[Network, Dataset]:
    return learned("coloured-digits-tied")


def test_a_network_that_learned_tied_colours_is_found_reading_colour(tied):
    network, dataset = tied
    found = colour_or_shape(network, dataset.test)
    assert found.verdict == COLOUR and "colour counts more" in found.summary
    assert found.other_shape.kept.low > found.other_colours.kept.high
    assert found.same_colours.kept.low > 0.95  # what recolouring itself costs
    assert found.other_shape.log_odds.low > found.other_colours.log_odds.high
    assert found.grey.kept.high < 0.9 and found.grey.followed is None


def test_a_network_that_learned_digits_of_any_colour_is_found_reading_shape(free, tied):
    network, _ = free
    for _, dataset in (free, tied):
        found = colour_or_shape(network, dataset.test)
        assert found.verdict == SHAPE and "shape counts more" in found.summary
        assert found.other_colours.kept.low > 0.9 and found.grey.kept.low > 0.9
        assert found.other_colours.followed is not None and found.other_colours.followed.high < 0.05
        assert found.other_shape.followed is not None and found.other_shape.followed.low > 0.9
        assert found.other_shape.kept.high < 0.1
        assert abs(found.other_colours.log_odds.value - found.log_odds.value) < 2


def ruled(kind: str, channels_first: bool = False) -> tuple[Network, Split]:
    """A network whose rule is known, linear: whether red is stronger than green, or the left than the right."""
    images = RNG.integers(60, 120, (200, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(200) % 2
    images[labels == 0, :, :, 0] += 100
    images[labels == 1, :, :, 1] += 100
    half = np.where(np.arange(8) < 4, 0, 1)
    images = np.where((half == labels[:, None])[:, None, :, None], images, images // 2)
    rule = np.zeros((8, 8, 3))
    if kind == "colour":
        rule[..., 0], rule[..., 1] = 1, -1
    else:
        rule[:, :4], rule[:, 4:] = 1, -1
    flat = (rule.transpose(2, 0, 1) if channels_first else rule).reshape(-1)
    shape = (3, 8, 8) if channels_first else (8, 8, 3)
    network = Network.create(
        [192, 2], activation=["softmax"], rng=0, dtype="float64", input_shape=shape, scaling=Scaling.unit()
    )
    layer = replace(network.layers[0], weights=np.stack([flat, -flat]), biases=np.zeros(2))
    return replace(network, layers=(layer,)), Split(images, labels)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize(("kind", "verdict"), [("colour", COLOUR), ("side", SHAPE)])
def test_known_rules_are_found_wherever_the_channels_stand(kind, verdict, channels_first):
    network, split = ruled(kind, channels_first)
    found = colour_or_shape(network, split, images=100)
    assert (found.verdict, found.images) == (verdict, 100)
    told = json.loads(json.dumps(found.as_json()))
    assert told["verdict"] == verdict and told["other_colours"]["kept"]["value"] == found.other_colours.kept.value
    as_inputs = (network.scale(split.images), split.labels)
    assert colour_or_shape(network, as_inputs, images=100).as_json() == found.as_json()
    other = colour_or_shape(network, split, images=100, rng=1)
    assert other.log_odds.value != found.log_odds.value


def slowly_recoloured(image: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """The exchange for one image, pixel by pixel, from its definition."""
    own, others = image.reshape(-1, 3), donor.reshape(-1, 3)
    axes = []
    for pixels in (own, others):
        variances, vectors = np.linalg.eigh(np.cov(pixels.T, bias=True))
        order = np.argsort(variances)[::-1]
        vectors = vectors[:, order]
        vectors[:, 0] *= 1 if vectors[:, 0].sum() >= 0 else -1
        axes.append((np.sqrt(np.maximum(variances[order], 0)), vectors))
    (spread, mine), (new_spread, its) = axes
    made = np.empty_like(own)
    for place, pixel in enumerate(own):
        made[place] = others.mean(axis=0)
        for k in range(3):
            sign = 1 if k == 0 or mine[:, k] @ its[:, k] > 0 else -1
            along = (pixel - own.mean(axis=0)) @ mine[:, k]
            made[place] += sign * along * min(new_spread[k] / spread[k], 4.0) * its[:, k]
    return np.clip(made, 0, 1).reshape(image.shape)


def test_recolouring_is_the_formula_and_gives_the_others_statistics():
    base = RNG.uniform(0.3, 0.7, (4, 9, 7, 3))
    images = np.clip(base + RNG.normal(0, 0.08, (4, 1, 1, 3)), 0, 1)
    donors = 0.5 + (images[::-1] - 0.5) * [0.5, 0.2, 0.3]
    found = recoloured(images, donors)
    for one, image, donor in zip(found, images, donors, strict=True):
        np.testing.assert_allclose(one, slowly_recoloured(image, donor), atol=1e-9)
        np.testing.assert_allclose(one.mean(axis=(0, 1)), donor.mean(axis=(0, 1)), atol=1e-9)
        np.testing.assert_allclose(np.cov(one.reshape(-1, 3).T), np.cov(donor.reshape(-1, 3).T), atol=1e-9)
    np.testing.assert_allclose(recoloured(images, images), images, atol=1e-9)


def test_a_drawing_in_one_colour_takes_the_other_s_colour():
    ink = (RNG.random((2, 10, 10)) < [[[0.3]], [[0.3]]]).astype(float)
    red, blue = np.array([1.0, 0.2, 0.2]), np.array([0.2, 0.3, 0.9])
    made = recoloured(ink[:1, ..., None] * red, ink[:1, :, ::-1, None] * blue)
    np.testing.assert_allclose(made, ink[:1, ..., None] * blue, atol=1e-9)
    grey = in_grey(ink[..., None] * red)
    np.testing.assert_allclose(grey, (ink * (red @ np.array(LUMA)))[..., None] * np.ones(3))


def test_what_cannot_be_asked_is_one_clear_error(digits):
    network, split = ruled("colour")
    grey = Network.create([64, 10], rng=0, input_shape=(8, 8), scaling=Scaling.unit(16))
    with pytest.raises(ModelError, match="models with images in colour"):
        colour_or_shape(grey, digits.test)
    with pytest.raises(DataError, match="at least 20 images are needed; received 3"):
        colour_or_shape(network, split, images=3)
    with pytest.raises(DataError, match="must be read rightly; of 200 0 are"):
        colour_or_shape(network, Split(split.images, 1 - split.labels))


@pytest.mark.parametrize(("colour", "shape", "verdict"), [(70, 30, COLOUR), (30, 70, SHAPE), (50, 48, NEITHER)])
def test_the_verdict_needs_intervals_that_lie_apart(colour, shape, verdict):
    odds = mean_interval([1.0, 2.0])
    kept = {name: Swap(share_interval(hits, 100), odds) for name, hits in (("c", colour), ("s", shape))}
    found = ColourOrShape(100, odds, kept["s"], kept["c"], kept["s"], kept["s"])
    assert found.verdict == verdict and f"in {colour}% (" in found.summary


def test_the_audit_s_command_says_it(run: Run, tmp_path, tied):
    network, dataset = tied
    save_model(network, tmp_path / "tied.safetensors")
    np.savez(tmp_path / "data.npz", images=dataset.test.images, labels=dataset.test.labels)
    code, out, err = run("audit", tmp_path / "tied.safetensors", tmp_path / "data.npz", "--images", 100)
    assert code in (0, 3)
    assert "Colour or shape: colour counts more. Of 100 images" in out and "standardises" not in err
    assert [line.split("  ")[0] for line in out.splitlines() if "label  " in line][-3:] == [
        "colours of another label", "shape of another label", "colours of its own label",
    ]  # fmt: skip
    code, out, _ = run("audit", tmp_path / "tied.safetensors", tmp_path / "data.npz", "--images", 100, "--json")
    assert json.loads(out)["colour_or_shape"]["verdict"] == "colour"
