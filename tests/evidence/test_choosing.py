"""Slopes or finite ink: the measure is chosen where slopes mislead, and kept where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import plots
from backquery.errors import DataError
from backquery.evidence import AGAINST, SUPPORT, UNCLEAR, Evidence, measure_evidence
from backquery.model import Layout
from backquery.model.activations import RELU, SIGMOID
from backquery.model.network import Layer, Network
from tests.evidence.test_measure import PIXELS, SIDE, Bowl, drawn
from tests.inversion.conftest import Opaque
from tests.plots.test_plots import assert_nothing_is_clipped, texts

SIGNS = np.resize([1.0, -1.0, -1.0], PIXELS)


def misleading() -> Network:
    """A full pixel of ink moves the log-odds by 0.7 times its sign, though a little on paper moves them back."""
    eye = np.eye(PIXELS)
    hidden = Layer(np.concatenate([eye, eye]), np.repeat([-0.5, 0.0], PIXELS), RELU)
    weights = np.concatenate([2 * SIGNS, -0.3 * SIGNS])
    return Network((hidden, Layer(np.stack([weights, -weights]), np.zeros(2), SIGMOID)), input_shape=(SIDE, SIDE))


def mostly_paper(count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    inked = np.random.default_rng(0).random((2 * count, PIXELS)) < 0.05
    return inked.astype(float), np.arange(2 * count) % 2


def asked(measure: str | None = None, network: Network | None = None) -> Evidence:
    model = network or Opaque(misleading())
    return measure_evidence(model, mostly_paper(), [0], measure=measure)[0]


def test_finite_ink_is_taken_where_slopes_mislead():
    found = asked()
    assert found.measure == "path"
    assert found.trial["slope"][0] == 0
    assert found.trial["path"] == (4, 4)
    assert found.held == len(found.claims) == 4
    said = found.findings.verdict != UNCLEAR
    assert said.sum() > PIXELS / 2
    np.testing.assert_array_equal(found.findings.verdict[said], np.where(SIGNS > 0, SUPPORT, AGAINST)[said])
    assert np.abs((found.findings.mean - 0.7 * SIGNS) / found.findings.error).max() < 5
    why = "measured by finite ink: claims that held on a trial half, by slopes 0 of 2, by finite ink 4 of 4"
    assert found.why == why
    assert found.as_json(("0", "1"))["trial"]["path"] == {"held": 4, "claims": 4}
    figure = plots.evidence_maps([found], (SIDE, SIDE))
    assert "finite ink 4 of 4" in " ".join(" ".join(texts(figure)).split())
    assert_nothing_is_clipped(figure)


def test_what_is_asked_for_is_not_chosen():
    slope, path, dense = asked("slope"), asked("path"), asked(network=misleading())
    assert (slope.measure, path.measure, dense.measure) == ("slope", "path", "slope")
    assert slope.trial == path.trial == dense.trial == {}
    assert (slope.why, slope.held, path.held) == ("", 0, 4)
    assert path.images == slope.images
    with pytest.raises(DataError, match="'slope' or 'path'; received 'curve'"):
        asked("curve")


def test_slopes_are_kept_where_their_claims_hold():
    weights = 0.5 * SIGNS
    done: list[tuple[int, int]] = []
    (found,) = measure_evidence(
        Bowl(weights, np.zeros(PIXELS)), drawn(np.random.default_rng(1), 200), [0],
        progress=lambda one, of: done.append((one, of)),
    )  # fmt: skip
    assert (found.measure, found.trial) == ("slope", {"slope": (4, 4)})
    assert done == [(1, 3), (3, 3)]


def test_with_too_few_images_for_a_trial_slopes_are_kept():
    (found,) = measure_evidence(Opaque(misleading()), mostly_paper(24), [0])
    assert found.measure == "slope"


@pytest.mark.parametrize("shape", [(3, SIDE, SIDE), (SIDE, SIDE, 3)])
def test_in_colour_a_verdict_is_that_of_a_pixel(shape: tuple[int, ...]):
    rng = np.random.default_rng(3)
    weights = rng.choice([-1.0, 0.0, 1.0], (SIDE, SIDE, 1)) * rng.uniform(0.2, 0.8, (SIDE, SIDE, 3))
    layout = Layout.of(shape)
    flat = layout.flat(weights)
    model = Network((Layer(np.stack([flat, -flat]), np.zeros(2), SIGMOID),), input_shape=shape)
    images = layout.flat(rng.random((200, SIDE, SIDE, 3)))
    for measure in ("slope", "path"):
        (found,) = measure_evidence(model, (images, np.arange(200) % 2), [0], measure=measure)
        sums = weights.sum(axis=-1).ravel()
        expected = np.select([sums > 0, sums < 0], [SUPPORT, AGAINST], 0)
        np.testing.assert_array_equal(found.findings.verdict, expected)
        assert found.held == len(found.claims) == 6
        assert found.mean_ink.shape == (3 * PIXELS,)
        assert found.contrast.shape == (PIXELS,)
    colours = plots.evidence_colours(found, shape, 1.0)
    assert colours.shape == (SIDE, SIDE, 3)
    figure = plots.evidence_maps([found], shape)
    assert_nothing_is_clipped(figure)
    said = " ".join(" ".join(texts(figure)).split())
    assert "light supports" in said
    assert "made white (+) or black" in said
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), layout.grid(found.mean_ink), atol=1e-6)
