"""Statistics of the training images: against NumPy's own, in chunks, small and large, and in ink units."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from backquery.errors import DataError, ModelError
from backquery.inversion import fit_statistics, fitting
from backquery.inversion.fitting import images_read, medoid, typical_images, typical_logits
from backquery.model.layout import Layout
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.model.statistics import Spectrum, rings_of
from tests.reference import inversion as reference


def drawn(count: int = 400, inputs: int = 16, seed: int = 0) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    shapes = rng.normal(0, 40, (3, inputs))
    images = np.clip(100 + rng.normal(size=(count, 3)) @ shapes + rng.normal(0, 5, (count, inputs)), 0, 255)
    return SimpleNamespace(images=images.round().astype(np.uint8), labels=np.arange(count) % 3)


def network(inputs: int = 16, **description) -> Network:
    return Network.create([inputs, 6, 3], rng=1, dtype=np.float64, **{"scaling": Scaling.book(), **description})


def test_mean_covariance_and_typical_answers_are_numpy_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "CHUNK", 37)
    model, data = network(), drawn()
    statistics = fit_statistics(model, data, rank=16)
    inputs = model.scale(data.images)
    np.testing.assert_allclose(statistics.mean, inputs.mean(axis=0), atol=1e-12)
    factor = statistics.factor.astype(np.float64)
    np.testing.assert_allclose(factor @ factor.T, np.cov(inputs.T, bias=True), atol=1e-6)
    logits = model.logits(inputs)
    for label in np.unique(logits.argmax(axis=1)):
        read = logits[logits.argmax(axis=1) == label]
        np.testing.assert_allclose(statistics.typical[label], read[reference.medoid(read)], atol=1e-12)


def test_inputs_are_taken_as_they_are_and_pixels_as_the_network_scales_them() -> None:
    model, data = network(), drawn()
    of_pixels = fit_statistics(model, data)
    of_inputs = fit_statistics(model, (model.scale(data.images), data.labels))
    for name in ("mean", "diagonal", "typical"):
        np.testing.assert_allclose(getattr(of_inputs, name), getattr(of_pixels, name), atol=1e-12)


def test_the_leading_directions_are_kept() -> None:
    model, data = network(), drawn()
    factor = fit_statistics(model, data, rank=3).factor.astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(model.scale(data.images).T, bias=True))
    best = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    np.testing.assert_allclose(factor @ factor.T, best, atol=1e-6)


def test_many_pixels_are_sketched_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = network(200), drawn(300, 200)
    exact = fit_statistics(model, data, rank=3)
    monkeypatch.setattr(fitting, "EXACT", 100)
    monkeypatch.setattr(fitting, "CHUNK", 64)
    sketched = fit_statistics(model, data, rank=3)
    np.testing.assert_allclose(sketched.mean, exact.mean, atol=1e-12)
    covariances = [part.factor.astype(np.float64) @ part.factor.T.astype(np.float64) for part in (exact, sketched)]
    assert np.linalg.norm(covariances[1] - covariances[0]) < 0.01 * np.linalg.norm(covariances[0])


def test_ten_thousand_pixels_never_make_a_square_matrix() -> None:
    model = Network.create([10_000, 4, 3], rng=1, scaling=Scaling.book())
    statistics = fit_statistics(model, drawn(60, 10_000), rank=8)
    assert statistics.factor.shape == (10_000, 8)
    explained = np.sum(statistics.factor.astype(np.float64) ** 2)
    assert explained > 0.95 * model.scale(drawn(60, 10_000).images).astype(np.float64).var(axis=0).sum()


def test_the_noise_is_in_units_of_ink() -> None:
    data = drawn()
    standardised = Scaling.standardised(data.images)
    for scaling in (Scaling.book(), Scaling.unit(), standardised):
        statistics = fit_statistics(network(scaling=scaling), data)
        np.testing.assert_allclose(
            statistics.diagonal, 0.01 * np.broadcast_to(scaling.high - scaling.low, 16) ** 2
        )
    inputs = Scaling.unit().apply(data.images) * 3
    plain = fit_statistics(network(scaling=None), (inputs, data.labels))
    np.testing.assert_allclose(plain.diagonal, 0.01 * np.ptp(inputs) ** 2)


def test_pixels_that_never_change_do_no_harm() -> None:
    data = drawn()
    data.images[:, :5] = 0
    statistics = fit_statistics(network(), data)
    np.testing.assert_allclose(statistics.factor[:5], 0, atol=1e-9)
    assert np.all(statistics.diagonal > 0)


def test_typical_answers_do_not_know_the_data_s_labels() -> None:
    data = drawn()
    expected = fit_statistics(network(), data).typical
    data.labels = data.labels[::-1].copy()
    np.testing.assert_array_equal(fit_statistics(network(), data).typical, expected)


def test_a_label_that_is_never_read_has_the_answers_that_come_nearest() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(loc=[4, 0, -30], size=(500, 3))
    typical = typical_logits(logits)
    nearest = np.argsort(logits[:, :2].max(axis=1) - logits[:, 2])[:5]
    read = logits[logits.argmax(axis=1) == 0]
    np.testing.assert_array_equal(typical[2], logits[nearest][reference.medoid(logits[nearest])])
    np.testing.assert_array_equal(typical[0], read[reference.medoid(read)])


def test_typical_answers_are_those_of_an_image_that_is_read_so() -> None:
    model, data = network(), drawn()
    inputs = model.scale(data.images)
    logits = model.logits(inputs)
    found = typical_images(logits)
    for label, (position, read) in enumerate(zip(found, images_read(logits), strict=True)):
        assert position in read
        np.testing.assert_allclose(fit_statistics(model, data).typical[label], logits[position], atol=1e-12)


@pytest.mark.parametrize(("count", "width"), [(150, 4), (90, 12), (12, 12), (9, 40), (3, 40), (5, 3)], ids=str)
def test_the_medoid_is_that_of_all_distances_one_by_one(count: int, width: int) -> None:
    rng = np.random.default_rng(count)
    rows = rng.gamma(0.5, size=(count, width)) @ rng.normal(size=(width, width)) + 100
    assert medoid(rows) == reference.medoid(rows)


def test_the_medoid_does_not_hang_on_the_units_of_answers() -> None:
    rows = np.random.default_rng(1).normal(size=(300, 5)) * [1, 2, 3, 4, 5]
    assert medoid(rows) == medoid(1000 * rows - 7)


def test_few_alike_or_endlessly_many_outputs_have_a_medoid() -> None:
    rng = np.random.default_rng(2)
    assert medoid(rng.normal(size=(1, 10))) == 0
    assert medoid(np.ones((20, 10))) in range(20)
    assert medoid(rng.normal(size=(2, 10))) in (0, 1)
    # With three rows of a thousand numbers the covariance is formed among the rows: the middle one is found.
    line = np.outer([0.0, 1.0, 3.0], rng.normal(size=1000))
    assert medoid(line) == 1


def test_a_thousand_labels_speak_for_themselves() -> None:
    """A hundredth of all images would be those of ten labels."""
    rng = np.random.default_rng(3)
    truth = np.repeat(np.arange(200), 6)
    logits = rng.normal(size=(1200, 200)) + 20 * (truth[:, None] == np.arange(200))
    np.testing.assert_array_equal(truth[typical_images(logits)], np.arange(200))


def test_a_single_output_is_typical_where_it_is_above_even_odds() -> None:
    logits = np.random.default_rng(4).normal(size=(60, 1))
    above = logits[logits[:, 0] > 0]
    found = typical_logits(logits)[0]
    sums = [np.abs(above - point).sum() for point in (found, np.median(above))]
    assert found in above and sums[0] <= 1.001 * sums[1]


def test_the_settings_must_make_sense() -> None:
    with pytest.raises(DataError, match="above zero"):
        fit_statistics(network(), drawn(), rank=0)
    with pytest.raises(DataError, match="above zero"):
        fit_statistics(network(), drawn(), noise=0)


def coloured(count: int = 60, shape: tuple[int, ...] = (3, 6, 8), seed: int = 5) -> SimpleNamespace:
    """Smooth images whose channels go together, with noise, as bytes in the order of `shape`."""
    rng, layout = np.random.default_rng(seed), Layout.of(shape)
    coarse = rng.normal(0, 30, (count, 2, 2, 3)).repeat(layout.rows // 2, 1).repeat(layout.columns // 2, 2)
    pixels = 120 + coarse @ np.array([[1, 0.8, 0.6], [0, 0.5, -0.5], [0.1, 0, 0.2]])
    noisy = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255)
    flat = layout.flat(noisy[..., : layout.channels]).reshape(count, *shape)
    return SimpleNamespace(images=flat.round().astype(np.uint8), labels=np.arange(count) % 3)


def for_shape(shape: tuple[int, ...], **description) -> Network:
    return network(int(np.prod(shape)), input_shape=shape, **description)


@pytest.mark.parametrize("exact", [2048, 10])
@pytest.mark.parametrize("shape", [(3, 6, 8), (6, 8, 3)], ids=str)
def test_the_spectrum_is_what_the_leading_directions_leave(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], exact: int
) -> None:
    monkeypatch.setattr(fitting, "EXACT", exact)
    monkeypatch.setattr(fitting, "CHUNK", 17)
    data, gain = coloured(shape=shape), np.linspace(0.5, 1.5, 144) / 255
    model = for_shape(shape, scaling=Scaling(gain, -0.3, 255))
    statistics = fit_statistics(model, data, rank=2, noise=1e-6)
    layout, inputs = Layout.of(shape), model.scale(data.images).astype(np.float64)
    expected = reference.power_left(layout.grid(inputs), layout.grid(statistics.factor.T.astype(np.float64)))
    spectrum = statistics.spectrum
    assert spectrum is not None and len(spectrum.powers) == max(expected) + 1
    for ring, power in expected.items():
        np.testing.assert_allclose(
            np.diag(spectrum.axes.T @ power @ spectrum.axes), spectrum.powers[ring], atol=1e-6
        )
    whole = sum(
        power * np.sum(rings_of(6, 8) == ring)
        for ring, power in reference.power_left(layout.grid(inputs), np.zeros((1, 6, 8, 3))).items()
    )
    np.testing.assert_allclose(
        spectrum.axes.T @ whole @ spectrum.axes, np.diag(np.linalg.eigvalsh(whole)[::-1]), atol=1e-5
    )


def test_factor_and_spectrum_together_have_all_of_the_variance() -> None:
    model, data = for_shape((3, 6, 8)), coloured()
    statistics = fit_statistics(model, data, rank=3, noise=1e-6)
    left = statistics.spectrum.variances(6, 8)
    assert left.shape == (6, 8, 3)
    total = np.sum(statistics.factor.astype(np.float64) ** 2) + left.sum()
    np.testing.assert_allclose(total, model.scale(data.images).astype(np.float64).var(axis=0).sum(), rtol=1e-4)


def test_what_the_directions_leave_is_never_nothing() -> None:
    model, data = for_shape((3, 6, 8)), coloured(4)
    spectrum = fit_statistics(model, data, noise=0.01).spectrum
    np.testing.assert_allclose(spectrum.powers.min(), fitting.FAINT * 0.01 * 0.99**2)


def test_a_spectrum_is_kept_of_images_in_colour_and_of_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = coloured(shape=(6, 8))
    assert fit_statistics(for_shape((6, 8)), grey).spectrum is None
    monkeypatch.setattr(fitting, "EXACT", 40)
    assert fit_statistics(for_shape((6, 8)), grey).spectrum.powers.shape[1] == 1
    assert (
        fit_statistics(
            network(48), SimpleNamespace(images=grey.images.reshape(60, -1), labels=grey.labels)
        ).spectrum
        is None
    )


def test_however_large_images_are_no_more_are_taken_at_once_than_memory_allows() -> None:
    assert fitting.images_at_once(784) == fitting.CHUNK
    assert 1 <= fitting.images_at_once(3 * 224 * 224) <= fitting.CHUNK_BYTES / (8 * 3 * 224 * 224)
    assert fitting.images_at_once(10**9) == 1


def test_a_sample_of_the_images_says_what_is_typical_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, data = network(), drawn()
    monkeypatch.setattr(fitting, "MOST_BYTES", 8 * 3 * 50)
    answers = model.logits(model.scale(data.images))
    for row in fit_statistics(model, data, components=1).typical:
        assert np.abs(answers - row).max(axis=1).min() < 1e-12


def test_a_spectrum_must_make_sense() -> None:
    with pytest.raises(ModelError, match="powers \\(rings, channels\\)"):
        Spectrum(np.ones((4, 2)), np.eye(3))
    with pytest.raises(ModelError, match="positive"):
        Spectrum(np.zeros((4, 3)), np.eye(3))
    with pytest.raises(ModelError, match="orthonormal"):
        Spectrum(np.ones((4, 3)), np.ones((3, 3)))
    with pytest.raises(ModelError, match="not finite"):
        Spectrum(np.full((4, 3), np.nan), np.eye(3))
