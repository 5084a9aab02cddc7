"""One linearised problem against dense matrices, and its fixed point against every set of bounds tried in turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backquery.inversion import Prior
from backquery.inversion.linearised import BoundPixels, Linearisation, newton_step
from tests.reference import inversion as twin

WIDE = 1e9


def drawn(seed: int, pixels: int = 5, rank: int = 2, k: int = 2) -> tuple[Prior, np.ndarray]:
    rng = np.random.default_rng(seed)
    prior = Prior("drawn", rng.uniform(0, 1, pixels), rng.normal(size=(pixels, rank)), rng.uniform(0.1, 1, pixels))
    return prior, rng.normal(size=(k, pixels))


class Whitened:
    """A prior's problem with constraints ``jacobian @ x``, in the coordinates that `newton_step` works in."""

    def __init__(self, prior: Prior, jacobian: np.ndarray, low: float, high: float) -> None:
        self.prior = prior
        self.jacobian = (jacobian * prior.deviation)[None]
        self.low, self.high = (prior.whiten(np.full(prior.inputs, end)) for end in (low, high))
        self.bound = prior.bound_pixels(1)

    def step(self, x, residual, u, multipliers, damping=0.0, restore=False):
        here = Linearisation(
            self.jacobian, residual[None], self.prior.whiten(x[None]), u, multipliers,
            low=self.low[None], high=self.high[None], damping=np.array([damping]), restore=np.array([restore]),
            bound=self.bound, rows=np.array([0]),
        )  # fmt: skip
        return self.prior.newton_step(here)

    def image(self, solution) -> np.ndarray:
        return self.prior.unwhiten(solution.target[0])


@given(seed=st.integers(0, 10**6))
def test_without_bounds_one_step_is_the_gauss_newton_formula(seed: int) -> None:
    prior, jacobian = drawn(seed)
    rng = np.random.default_rng(seed + 1)
    x, values, asked = rng.uniform(size=5), rng.normal(size=2), rng.normal(size=2)
    problem = Whitened(prior, jacobian, -WIDE, WIDE)
    solution = problem.step(x, asked - values, np.zeros((1, 2)), np.zeros((1, 2)))
    expected = twin.gauss_newton_step(x, values, jacobian, asked, prior.mean, twin.covariance(prior))
    np.testing.assert_allclose(problem.image(solution), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_repeated_steps_end_at_the_likeliest_image_in_the_box(seed: int) -> None:
    prior, jacobian = drawn(seed)
    inside = np.random.default_rng(seed + 2).uniform(size=5)
    wanted = jacobian @ inside
    problem = Whitened(prior, jacobian, 0.0, 1.0)
    u, multipliers = np.zeros((1, 2)), np.zeros((1, 2))
    for _ in range(60):
        solution = problem.step(prior.mean, wanted - jacobian @ prior.mean, u, multipliers)
        multipliers = solution.multipliers
        u, _ = prior.explained(solution.target)
    assume(np.abs(jacobian @ problem.image(solution) - wanted).max() < 1e-6)  # it may cycle: a search damps it
    expected = twin.likeliest_in_box(prior.mean, twin.covariance(prior), jacobian, wanted, 0.0, 1.0)
    cost = prior.squared_distance(problem.image(solution)[None])[0]
    np.testing.assert_allclose(cost, prior.squared_distance(expected[None])[0], rtol=1e-5, atol=1e-7)


@given(seed=st.integers(0, 10**6))
def test_restoring_is_the_likeliest_change_of_the_image(seed: int) -> None:
    prior, jacobian = drawn(seed)
    rng = np.random.default_rng(seed + 3)
    x, residual = rng.uniform(size=5), rng.normal(size=2)
    problem = Whitened(prior, jacobian, -WIDE, WIDE)
    solution = problem.step(x, residual, np.zeros((1, 2)), np.ones((1, 2)), restore=True)
    C = twin.covariance(prior)
    expected = x + C @ jacobian.T @ np.linalg.solve(jacobian @ C @ jacobian.T, residual)
    np.testing.assert_allclose(problem.image(solution), expected, rtol=1e-6, atol=1e-6)


def test_a_correction_answers_a_residual_with_the_free_pixels_alone() -> None:
    prior, jacobian = drawn(5)
    problem = Whitened(prior, jacobian, 0.0, 1.0)
    solution = problem.step(prior.mean, np.array([2.0, -1.0]), np.zeros((1, 2)), np.array([[3.0, -3.0]]))
    residual = np.array([[0.02, -0.01]])
    change = solution.correction(residual, np.array([0]))
    np.testing.assert_allclose(problem.jacobian[0] @ change[0], residual[0], atol=1e-9)


def test_constraints_that_say_the_same_twice_do_no_harm() -> None:
    prior, jacobian = drawn(7)
    twice = np.concatenate([jacobian, jacobian[:1]])
    problem = Whitened(prior, twice, -WIDE, WIDE)
    asked = twice @ np.full(5, 0.4)
    solution = problem.step(prior.mean, asked - twice @ prior.mean, np.zeros((1, 2)), np.zeros((1, 3)))
    np.testing.assert_allclose(twice @ problem.image(solution), asked, atol=1e-3)


def test_a_prior_without_directions_works_too() -> None:
    rng = np.random.default_rng(0)
    prior = Prior("flat", np.full(5, 0.5), np.zeros((5, 0)), np.full(5, 0.2))
    jacobian = rng.normal(size=(2, 5))
    problem = Whitened(prior, jacobian, -WIDE, WIDE)
    solution = problem.step(prior.mean, np.array([0.3, 0.1]), np.zeros((1, 0)), np.zeros((1, 2)))
    expected = prior.mean + np.linalg.pinv(jacobian) @ [0.3, 0.1]
    np.testing.assert_allclose(problem.image(solution), expected, atol=1e-6)


@given(seed=st.integers(0, 1000))
def test_sums_over_bound_pixels_are_kept_up_to_date(seed: int) -> None:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(9, 3))
    bound = BoundPixels([factor] * 4)
    for _ in range(4):
        rows = np.flatnonzero(rng.random(4) < 0.7)
        free = rng.random((len(rows), 9)) < rng.random()
        sums = bound.sums(rows, free)
        for row, now in zip(rows, free, strict=True):
            np.testing.assert_allclose(sums[row], np.eye(3) + factor[~now].T @ factor[~now], atol=1e-10)


class Shifting:
    """A prior whose factor is no matrix: every pixel and a share of its left neighbour, round the edge."""

    rank = 5

    def of(self, rows: np.ndarray) -> Shifting:
        return self

    def spread(self, scores: np.ndarray) -> np.ndarray:
        return scores + 0.5 * np.roll(scores, 1, axis=-1)

    def gather(self, y: np.ndarray) -> np.ndarray:
        return y + 0.5 * np.roll(y, -1, axis=-1)

    def explained(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = self.solve(np.arange(len(y)), np.zeros(y.shape, bool), self.gather(y)[:, None])[:, 0]
        return scores, np.sum(y * y, axis=1) - np.sum(self.gather(y) * scores, axis=1)

    def bound_pixels(self, images: int) -> Shifting:
        return self

    def solve(self, rows: np.ndarray, free: np.ndarray, sides: np.ndarray) -> np.ndarray:
        from scipy.sparse.linalg import LinearOperator, cg

        def solved(now: np.ndarray, side: np.ndarray) -> np.ndarray:
            system = LinearOperator((5, 5), lambda u: u + self.gather(self.spread(u) * ~now))
            return cg(system, side, rtol=1e-12)[0]

        return np.array([[solved(now, side) for side in part] for now, part in zip(free, sides, strict=True)])


@pytest.mark.parametrize("restore", [False, True])
def test_a_prior_needs_no_matrix(restore: bool) -> None:
    shifting = Shifting()
    matrix = Prior("the same", np.zeros(5), shifting.spread(np.eye(5)).T, np.ones(5))
    rng = np.random.default_rng(1)
    jacobian, residual, image = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3)), rng.uniform(-1, 1, (2, 5))
    steps = [
        newton_step(
            prior,
            Linearisation(
                jacobian, residual, image, prior.explained(image)[0], np.ones((2, 3)), low=-np.ones((1, 5)),
                high=np.ones((1, 5)), damping=np.full(2, 0.1), restore=np.full(2, restore),
                bound=prior.bound_pixels(2), rows=np.arange(2),
            ),
        )
        for prior in (shifting, matrix)
    ]  # fmt: skip
    np.testing.assert_allclose(steps[0].target, steps[1].target, atol=1e-8)
    np.testing.assert_allclose(steps[0].multipliers, steps[1].multipliers, atol=1e-8)
    corrections = [step.correction(residual, np.arange(2)) for step in steps]
    np.testing.assert_allclose(corrections[0], corrections[1], atol=1e-8)
