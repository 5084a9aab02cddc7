"""Priors of waves against dense matrices, and the linearised problem in a box against every set of bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, stats

from backquery.errors import InversionError
from backquery.inversion import (
    GaussNewton,
    Prior,
    SpectralPrior,
    answers,
    back_query,
    natural_prior,
    priors,
    smooth_prior,
)
from backquery.inversion.linearised import Linearisation
from backquery.inversion.priors import (
    COLOUR_AXES,
    COLOUR_MEANS,
    COLOUR_VARIANCES,
    NOISE,
    SMOOTH_VARIANCE,
    large_data_prior,
)
from backquery.inversion.spectral import conjugate_gradients
from backquery.inversion.waves import Waves
from backquery.model import Layout, Spectrum, Statistics
from tests.inversion.conftest import Opaque, network_of
from tests.reference import inversion as twin

SHAPES = [(2, 3), (3, 2, 2), (2, 2, 3), (1, 5)]


def drawn(shape: tuple[int, ...], seed: int = 0, rank: int = 0) -> SpectralPrior:
    layout, rng = Layout.of(shape), np.random.default_rng(seed)
    channels = np.linalg.qr(rng.normal(size=(layout.channels, layout.channels)))[0]
    waves = Waves.cosines(layout, channels)
    inputs = layout.inputs
    return SpectralPrior(
        "drawn", rng.uniform(0.3, 0.7, inputs), rng.uniform(0.5, 1.5, inputs), waves,
        rng.uniform(0.1, 2, waves.shape), rng.normal(size=(inputs, rank)),
    )  # fmt: skip


def covariance(prior: SpectralPrior) -> np.ndarray:
    """In input scale, built from the waves one by one."""
    layout, waves = prior.waves.layout, prior.waves
    dense = prior.factor @ prior.factor.T
    variances = prior.variances if layout.channels_first else np.moveaxis(prior.variances, -1, 0)
    for c in range(layout.channels):
        for i in range(layout.rows):
            for j in range(layout.columns):
                wave = np.einsum("a,b,c->abc", waves.rows[i], waves.columns[j], waves.channels[c])
                flat = layout.flat(wave)
                dense = dense + variances[c, i, j] * np.outer(flat, flat)
    return prior.deviation[:, None] * dense * prior.deviation


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_its_operations_are_those_of_its_covariance(shape: tuple[int, ...], rank: int) -> None:
    prior = drawn(shape, 1, rank)
    dense = covariance(prior)
    y = np.random.default_rng(2).normal(size=(4, prior.inputs))
    whitened = dense / np.outer(prior.deviation, prior.deviation)
    np.testing.assert_allclose(prior.covary(y), y @ whitened, atol=1e-12)
    np.testing.assert_allclose(prior.precision_times(y), np.linalg.solve(whitened, y.T).T, atol=1e-10)
    images = prior.unwhiten(y)
    np.testing.assert_allclose(prior.whiten(images), y, atol=1e-12)
    expected = stats.multivariate_normal(prior.mean, dense).logpdf(images)
    np.testing.assert_allclose(prior.log_density(images), expected, rtol=1e-9)
    kept, squares = prior.explained(y)
    np.testing.assert_allclose(squares, prior.squared_distance(images), rtol=1e-12)
    np.testing.assert_array_equal(prior.precise(y, kept), kept)


def test_it_draws_as_it_varies() -> None:
    prior = drawn((3, 2, 2), 3, 2)
    draws = prior.unwhiten(prior.draw(40_000, np.random.default_rng(0)))
    np.testing.assert_allclose(draws.mean(axis=0), prior.mean, atol=1e-12)  # each has its mirror image
    dense = covariance(prior)
    assert np.abs(np.cov(draws.T) - dense).max() < 0.04 * np.abs(dense).max()


def test_cosines_are_the_discrete_cosine_transform() -> None:
    layout = Layout.of((3, 6, 5))
    images = np.random.default_rng(0).normal(size=(2, layout.inputs))
    expected = fft.dctn(images.reshape(2, 3, 6, 5), axes=(2, 3), norm="ortho")
    waves = Waves.cosines(layout)
    np.testing.assert_allclose(waves.coefficients(images), expected, atol=1e-12)
    np.testing.assert_allclose(waves.images(expected), images, atol=1e-12)


def test_natural_images_fall_off_with_the_square_of_the_frequency_and_vary_in_colour() -> None:
    prior = natural_prior((3, 8, 8), -1.0, 1.0)
    np.testing.assert_allclose(prior.waves.layout.grid(prior.mean)[0, 0], np.array(COLOUR_MEANS) * 2 - 1)
    each = prior.variances[0]
    np.testing.assert_allclose(each[0, 2] / each[0, 4], 4)
    np.testing.assert_allclose(each[0, 3] / each[3, 3], 2)
    np.testing.assert_allclose(each[0, 0], each[0, 1])
    axes = np.array(COLOUR_AXES)
    per_pixel = axes.T @ np.diag(COLOUR_VARIANCES) @ axes * 4
    whole = np.trace(covariance(prior).reshape(3, 64, 3, 64), axis1=1, axis2=3) / 64
    np.testing.assert_allclose(whole, per_pixel, atol=2e-3)


def test_natural_images_in_grey_and_in_other_orders() -> None:
    grey = natural_prior((4, 6))
    np.testing.assert_allclose(grey.mean, sum(COLOUR_MEANS) / 3)
    np.testing.assert_allclose(np.diag(covariance(grey)).mean(), sum(COLOUR_VARIANCES) / 3)
    first, last = natural_prior((3, 4, 5)), natural_prior((4, 5, 3))
    order = Layout.of((4, 5, 3)).cells.transpose(2, 0, 1).ravel()
    np.testing.assert_allclose(covariance(first), covariance(last)[np.ix_(order, order)], atol=1e-12)
    with pytest.raises(InversionError, match="'natural' must know where the pixels lie"):
        natural_prior((7,))


def test_smooth_colours_vary_together_and_large_grey_images_as_small_ones_do() -> None:
    colour = smooth_prior((3, 5, 5), length=1.5)
    assert isinstance(colour, SpectralPrior)
    pixels = covariance(colour).reshape(3, 25, 3, 25)
    distant = SMOOTH_VARIANCE * np.exp(-0.5 * (2 / 1.5) ** 2)
    np.testing.assert_allclose(np.mean([pixels[c, 0, c, 2] for c in range(3)]), distant, rtol=1e-6)
    np.testing.assert_allclose(np.mean([pixels[c, 7, c, 7] for c in range(3)]), SMOOTH_VARIANCE + NOISE, rtol=1e-6)
    assert pixels[0, 7, 1, 7] > 0.8 * SMOOTH_VARIANCE, "red and green of photographs go together"
    large = smooth_prior((130, 130))
    assert isinstance(large, SpectralPrior) and not large.mean.any()


def test_large_images_vary_as_their_leading_directions_and_what_these_leave() -> None:
    shape, rng = (2, 3, 3), np.random.default_rng(4)
    spectrum = Spectrum(rng.uniform(0.1, 1, (6, 3)), np.linalg.qr(rng.normal(size=(3, 3)))[0])
    statistics = Statistics(rng.uniform(size=18), rng.normal(size=(18, 2)), np.ones(18), spectrum=spectrum)
    assert isinstance(large_data_prior(statistics, shape), Prior), "small images keep their diagonal"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priors, "FACTORED", 0)
        prior = large_data_prior(statistics, shape)
    assert isinstance(prior, SpectralPrior)
    layout = Layout.of(shape)
    rest = np.zeros((18, 18))
    for i in range(2):
        for j in range(3):
            for channel in range(3):
                places = np.cos(np.pi * i * (np.arange(2)[:, None] + 0.5) / 2) * np.cos(
                    np.pi * j * (np.arange(3) + 0.5) / 3
                )
                wave = layout.flat((places / np.linalg.norm(places))[..., None] * spectrum.axes[:, channel])
                rest += spectrum.variances(2, 3)[i, j, channel] * np.outer(wave, wave)
    np.testing.assert_allclose(covariance(prior), statistics.factor @ statistics.factor.T + rest, atol=1e-12)


class Linear:
    """A linearised problem in whitened coordinates."""

    def __init__(self, prior: SpectralPrior, seed: int, k: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.prior, self.jacobian = prior, rng.normal(size=(k, prior.inputs)) * prior.deviation
        self.low, self.high = prior.whiten(np.zeros(prior.inputs)), prior.whiten(np.ones(prior.inputs))
        self.image = prior.whiten(rng.uniform(0.2, 0.8, prior.inputs))
        self.multipliers = np.zeros((1, k))

    def step(self, residual, damping=0.0, restore=False, low=None, high=None):
        kept, _ = self.prior.explained(self.image[None])
        here = Linearisation(
            self.jacobian[None], residual[None], self.image[None], kept, self.multipliers,
            (self.low if low is None else low)[None], (self.high if high is None else high)[None],
            np.array([damping]), np.array([restore]), None, np.array([0]),
        )  # fmt: skip
        return self.prior.newton_step(here)


def test_the_linearised_problem_is_solved_in_the_box() -> None:
    solved = 0
    for seed in range(60):
        prior = drawn((2, 3), seed, rank=seed % 3)
        problem = Linear(prior, seed + 1)
        wanted = problem.jacobian @ prior.whiten(np.random.default_rng(seed + 2).uniform(0, 1, 6))
        for _ in range(20):
            step = problem.step(wanted - problem.jacobian @ problem.image)
            problem.image, problem.multipliers = step.target[0], step.multipliers
        found = problem.image
        assert np.all((found >= problem.low) & (found <= problem.high))
        whitened = covariance(prior) / np.outer(prior.deviation, prior.deviation)
        expected = twin.likeliest_in_box(
            np.zeros(6), whitened, problem.jacobian, wanted, problem.low, problem.high
        )
        holds = np.abs(problem.jacobian @ found - wanted).max() < 1e-3
        costs = (image @ np.linalg.solve(whitened, image) for image in (found, expected))
        solved += bool(holds and np.isclose(*costs, rtol=0.02, atol=1e-3))
    assert solved >= 57, "now and then the bounds are guessed in turns, which a search ends by shorter steps"


@given(seed=st.integers(0, 10**6))
def test_without_bounds_it_is_the_gauss_newton_formula_and_restoring_the_likeliest_change(seed: int) -> None:
    prior = drawn((3, 2, 2), seed, 1)
    problem = Linear(prior, seed + 1)
    residual, wide = np.random.default_rng(seed + 2).normal(size=2), np.full(12, 1e9)
    whitened = covariance(prior) / np.outer(prior.deviation, prior.deviation)
    step = problem.step(residual, low=-wide, high=wide)
    values = problem.jacobian @ problem.image
    expected = twin.gauss_newton_step(
        problem.image, values, problem.jacobian, values + residual, np.zeros(12), whitened
    )
    np.testing.assert_allclose(step.target[0], expected, rtol=1e-6, atol=1e-6)
    restored = problem.step(residual, restore=True, low=-wide, high=wide)
    gain = problem.jacobian @ whitened @ problem.jacobian.T
    change = whitened @ problem.jacobian.T @ np.linalg.solve(gain, residual)
    np.testing.assert_allclose(restored.target[0], problem.image + change, rtol=1e-6, atol=1e-6)


@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 1.0))
def test_restoring_fades_out_towards_the_bounds_and_comes_nearer(seed: int, share: float) -> None:
    prior = drawn((3, 2, 2), seed, 1)
    problem = Linear(prior, seed + 1, k=1)
    residual = share * np.random.default_rng(seed + 2).normal(size=1)
    target = problem.step(residual, restore=True).target[0]
    covariance_of_changes = covariance(prior) / np.outer(prior.deviation, prior.deviation)
    pull = covariance_of_changes @ problem.jacobian[0]
    free = pull * residual / (problem.jacobian[0] @ pull)
    room = np.where(free > 0, problem.high - problem.image, problem.image - problem.low)
    weights = np.minimum(1.0, room / np.abs(free))
    pull = weights * (covariance_of_changes @ (weights * problem.jacobian[0]))
    change = pull * residual / (problem.jacobian[0] @ pull)
    expected = np.clip(problem.image + change, problem.low, problem.high)
    np.testing.assert_allclose(target, expected, rtol=1e-6, atol=1e-8)
    nearer = problem.jacobian[0] @ (problem.image + 1e-6 * change - problem.image)
    assert nearer * residual[0] > 0


@given(seed=st.integers(0, 10**6))
def test_corrections_make_up_for_a_residual_by_pixels_inside_the_box(seed: int) -> None:
    problem = Linear(drawn((3, 4), seed), seed + 1)
    step = problem.step(np.random.default_rng(seed).normal(size=2) * 0.5)
    lacking = np.array([[0.01, -0.02]])
    change = step.correction(lacking, np.array([0]))[0]
    target = step.target[0]
    inside = (target > problem.low) & (target < problem.high)
    assert np.all(change[~inside] == 0)
    if inside.sum() > 2:
        np.testing.assert_allclose(problem.jacobian @ change, lacking[0], atol=1e-6)


def test_conjugate_gradients_solve_what_they_are_given() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix, wanted = root @ root.T + np.eye(8), rng.normal(size=8)
    solved = conjugate_gradients(
        lambda x: matrix @ x, wanted, np.zeros(8), lambda x: x / np.diag(matrix), 40, 1e-3
    )
    np.testing.assert_allclose(matrix @ solved, wanted, atol=2e-3 * np.linalg.norm(wanted))


@pytest.mark.parametrize("kind", ["the book's", "deep tanh"])
def test_a_search_under_waves_finds_what_one_under_the_same_matrix_finds(kind: str) -> None:
    network = network_of(kind)
    waves = drawn((4, 4), 5)
    images = np.random.default_rng(6).uniform(0.1, 0.9, (3, 16))
    asked, method = answers(network, network.query(images)), GaussNewton(optimality=1e-4)
    found = back_query(Opaque(network), asked, method=method, prior=waves)
    assert found.converged.all(), found.outcome
    assert found.logit_error.max() < 1e-3
    assert np.all((found.images >= 0) & (found.images <= 1))
    matrix = back_query(Opaque(network), asked, method=method, prior=factored(waves))
    costs = (waves.squared_distance(result.images) for result in (found, matrix))
    np.testing.assert_allclose(*costs, rtol=0.03)


def factored(waves: SpectralPrior) -> Prior:
    """The same normal distribution as a factor and a diagonal."""
    variances, vectors = np.linalg.eigh(covariance(waves))
    noise = 0.5 * variances[0]
    return Prior("same", waves.mean, vectors * np.sqrt(variances - noise), np.full(waves.inputs, noise))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"variances": np.zeros((2, 3, 1))}, "must be positive"),
        ({"variances": np.ones((3, 2, 1))}, "received"),
        ({"mean": np.full(6, np.nan)}, "not finite"),
        ({"factor": np.zeros((5, 1))}, "received"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict, words: str) -> None:
    prior = drawn((2, 3))
    parts = {name: getattr(prior, name) for name in ("name", "mean", "deviation", "waves", "variances", "factor")}
    with pytest.raises(InversionError, match=words):
        SpectralPrior(**(parts | change))
    with pytest.raises(InversionError, match="orthogonal"):
        Waves(Layout.of((2, 3)), np.ones((2, 2)), np.eye(3), np.eye(1))


@pytest.mark.parametrize("shape", [(190, 180), (3, 190, 180), (190, 180, 3), (1, 190, 180)])
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-12), ("float32", 1e-4)])
def test_a_fast_transform_makes_the_waves_that_matrices_make(shape, dtype, bound) -> None:
    layout = Layout.of(shape)
    channels = np.linalg.qr(np.random.default_rng(1).normal(size=(layout.channels,) * 2))[0]
    fast = Waves.cosines(layout, channels)
    assert fast.transformed and not Waves.cosines(Layout.of((28, 28))).transformed
    slow = replace(fast, transformed=False)
    y = np.random.default_rng(0).normal(size=(2, layout.inputs)).astype(dtype)
    coefficients = fast.coefficients(y)
    assert coefficients.dtype == np.dtype(dtype) or layout.channels > 1
    np.testing.assert_allclose(coefficients, slow.coefficients(y), rtol=0, atol=bound)
    np.testing.assert_allclose(fast.images(coefficients), y, rtol=0, atol=bound)
    np.testing.assert_allclose(slow.images(coefficients), y, rtol=0, atol=bound)
