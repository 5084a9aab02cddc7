"""Sharpness and likeness, against their formulas written out and against the cosine transform."""

from __future__ import annotations

import numpy as np
import pytest
from measurements.clarity import likeness, roughness, sharpness
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

SHAPE = (6, 5)


def images(count, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).random((count, shape[0] * shape[1]))


def slow_roughness(image):
    """From the formula, pixel by pixel."""
    rows, columns = len(image), len(image[0])
    pixels = [image[i][j] for i in range(rows) for j in range(columns)]
    mean = sum(pixels) / len(pixels)
    energy = 0.0
    for i in range(rows):
        for j in range(columns):
            if i + 1 < rows:
                energy += (image[i + 1][j] - image[i][j]) ** 2
            if j + 1 < columns:
                energy += (image[i][j + 1] - image[i][j]) ** 2
    return energy / sum((pixel - mean) ** 2 for pixel in pixels)


def slow_correlation(a, b):
    a, b = [v - sum(a) / len(a) for v in a], [v - sum(b) / len(b) for v in b]
    return sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def test_roughness_is_its_formula():
    drawn = images(4)
    expected = [slow_roughness(image.reshape(SHAPE).tolist()) for image in drawn]
    np.testing.assert_allclose(roughness(drawn, SHAPE), expected, rtol=1e-12)


def test_roughness_is_the_mean_squared_frequency_of_the_cosine_transform():
    """Cosine waves are the eigenvectors of the differences, with eigenvalues 4 sin(pi k / 2 n)^2 along an axis."""
    (image,) = images(1, seed=3)
    power = dctn(image.reshape(SHAPE), norm="ortho") ** 2
    along = [4 * np.sin(np.pi * np.arange(n) / (2 * n)) ** 2 for n in SHAPE]
    squared = along[0][:, None] + along[1]
    expected = (squared * power).sum() / (power.sum() - power[0, 0])
    assert roughness([image], SHAPE)[0] == pytest.approx(expected, rel=1e-12)


def test_contrast_and_brightness_do_not_matter_blur_and_noise_do():
    rng = np.random.default_rng(1)
    noise = rng.random((200, 28 * 28))
    blurred = np.array([gaussian_filter(image.reshape(28, 28), 1).ravel() for image in noise])
    assert roughness(noise, (28, 28)).mean() == pytest.approx(4 * 27 / 28, rel=0.02)
    np.testing.assert_allclose(roughness(0.2 + 0.1 * noise, (28, 28)), roughness(noise, (28, 28)))
    assert np.all(sharpness(blurred, noise, (28, 28)) < 0.5)
    assert np.median(sharpness(noise, noise, (28, 28))) == pytest.approx(1.0)


def test_a_blank_image_has_no_roughness_and_is_like_nothing():
    blank = np.full((1, 30), 0.3)
    assert np.isnan(roughness(blank, SHAPE)).all()
    assert likeness(blank, images(3)).tolist() == [0.0]


def test_likeness_is_the_highest_correlation():
    one, real = images(2, seed=1), images(7, seed=2)
    expected = [max(slow_correlation(a.tolist(), b.tolist()) for b in real) for a in one]
    np.testing.assert_allclose(likeness(one, real), expected, rtol=1e-12)
    np.testing.assert_allclose(likeness(0.5 * real + 0.1, real), 1.0)
