"""What agreement is worth: against the formulas, and what must hold whatever the numbers."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from scipy.optimize import minimize_scalar

from backquery.faithfulness import Judge, Recognition, luck, neighbour_judge, recognised_share
from backquery.faithfulness.real import RealImages

LABELS = np.arange(10)


def judge(name: str, performance: float | None, images: int | None = 2000) -> Judge:
    return Judge(name, lambda ink: np.zeros(len(ink), np.int64), performance, images)


def recognition(agreed: dict[str, int], judges: list[Judge], labels: int = 10) -> Recognition:
    """Judges that read the first so many of as many images as labels as expected, and the others wrongly."""
    expected = np.arange(labels)
    read = {name: np.where(expected < count, expected, (expected + 1) % labels) for name, count in agreed.items()}
    return Recognition({each.name: each for each in judges}, read, expected, 1 / labels)


shares = some.floats(0, 1, allow_nan=False)
chances = some.floats(0.01, 0.5)


@given(some.lists(some.tuples(shares, shares), min_size=1, max_size=4), chances)
def test_the_share_is_the_least_squares_fit(pairs, chance):
    agreement, worth = [each for each, _ in pairs], [max(real - chance, 0.0) for _, real in pairs]
    assume(max(worth) > 0.05)

    def error(share: float) -> float:
        return sum((each - chance - share * most) ** 2 for each, most in zip(agreement, worth, strict=True))

    slow = minimize_scalar(error, bounds=(0, 1), method="bounded", options={"xatol": 1e-9}).x
    assert recognised_share(agreement, worth, chance) == pytest.approx(slow, abs=1e-4)


@given(shares, some.floats(0.55, 1), chances)
def test_one_judge_gives_the_estimator_of_rogan_and_gladen(agreement, performance, chance):
    sensitivity, specificity = performance, 1 - chance
    apparent = agreement + specificity - 1
    expected = min(max(apparent / (sensitivity + specificity - 1), 0), 1)
    assert recognised_share([agreement], [performance - chance], chance) == pytest.approx(expected)


@given(some.lists(some.floats(0.55, 1), min_size=1, max_size=4), chances)
def test_agreement_as_on_real_images_is_1_chance_is_0_and_half_of_the_images_a_half(performances, chance):
    worth = [each - chance for each in performances]
    assert recognised_share(performances, worth, chance) == pytest.approx(1)
    assert recognised_share([chance] * len(worth), worth, chance) == pytest.approx(0, abs=1e-9)
    half = [chance + each / 2 for each in worth]
    assert recognised_share(half, worth, chance) == pytest.approx(0.5)


@given(shares, shares, some.floats(0.55, 1), chances)
def test_a_judge_at_chance_counts_for_nothing(agreement, of_the_other, performance, chance):
    alone = recognised_share([agreement], [performance - chance], chance)
    assert recognised_share([agreement, of_the_other], [performance - chance, 0.0], chance) == pytest.approx(alone)
    assert recognised_share([of_the_other], [0.0], chance) is None


@given(some.integers(1, 12), some.data(), some.floats(0.05, 0.6))
def test_luck_is_the_binomial_tail(images, data, chance):
    agreed = data.draw(some.integers(0, images))
    slow = sum(comb(images, k) * chance**k * (1 - chance) ** (images - k) for k in range(agreed, images + 1))
    assert luck(agreed, images, chance) == pytest.approx(slow)


def test_one_of_three_with_three_labels_is_nothing():
    found = recognition({"a": 1, "b": 1}, [judge("a", 0.95), judge("b", 0.99)], labels=3)
    assert found.share == pytest.approx(0) and found.brief == "0%"
    assert found.by_chance["a"] == pytest.approx(1 - (2 / 3) ** 3)
    assert found.may_be_luck
    two = recognition({"a": 2, "b": 2}, [judge("a", 0.95), judge("b", 0.99)], labels=3)
    assert two.may_be_luck and two.brief.endswith("%?")
    three = recognition({"a": 3, "b": 3}, [judge("a", 0.95), judge("b", 0.99)], labels=3)
    assert not three.may_be_luck and three.brief == "100%"


def test_ten_of_ten_is_no_luck_and_judges_mistakes_are_no_fault_of_the_images():
    weak = recognition({"linear": 8}, [judge("linear", 0.8)])
    assert weak.share == pytest.approx(1) and not weak.may_be_luck
    assert weak.as_json()["agreement"] == {"linear": 8}
    assert weak.as_json()["by_chance"]["linear"] < 1e-5


def test_a_judge_that_guesses_is_worth_nothing_and_is_said_to_be(digits):
    rng = np.random.default_rng(0)
    truth = digits.test.labels
    for _ in range(20):
        guesses = rng.integers(0, 10, len(truth))
        guessing = Judge.tried("guessing", lambda ink: np.zeros(len(ink), np.int64), guesses, truth)
        assert guessing.performance == np.mean(guesses == truth) and guessing.images == len(truth)
        assert guessing.worthless(0.1)
    assert guessing.worth(0.1) == 0 and guessing.trusted(0.1).endswith("right: no better than chance")
    found = recognition({"guessing": 10}, [guessing])
    assert found.share is None and found.brief == "-"
    beside = recognition({"guessing": 10, "good": 1}, [guessing, judge("good", 0.97)])
    assert beside.share == pytest.approx(0) and beside.may_be_luck


def test_few_test_images_make_no_judge_of_worth():
    assert judge("lucky", 0.4, images=5).worthless(1 / 3)
    assert judge("tried", 0.4, images=5000).worth(1 / 3) == pytest.approx(0.4 - 1 / 3)
    assert judge("as it says", 0.4, images=None).worth(1 / 3) == pytest.approx(0.4 - 1 / 3)
    unknown = judge("unknown", None)
    assert (unknown.worth(0.1), unknown.worthless(0.1), unknown.trusted(0.1)) == (0, False, "never tried")


def test_neighbours_are_tried_on_the_test_half(digits):
    real = RealImages(digits.train.images, digits.train.labels, digits.maximum)
    tried = neighbour_judge(real, digits.test)
    read = tried.ask(digits.test.images.reshape(-1, 64) / np.float32(16))
    assert tried.performance == np.mean(read == digits.test.labels)
    assert tried.images == len(digits.test)
    assert tried.trusted(0.1) == f"{tried.performance:.1%} right"
