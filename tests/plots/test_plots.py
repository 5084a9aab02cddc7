"""Pictures of real results: what is drawn is what was found, on the fixed scale, with the captions."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from backquery import plots
from backquery.datasets import Dataset
from backquery.errors import AssumptionWarning, OutputError
from backquery.inversion import BackQuery, back_query, hidden_node, kept_by_layer
from backquery.model.evaluation import Evaluation, evaluate
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.plots import scan_captions
from backquery.training import History, train


@pytest.fixture(scope="module")
def trained(digits: Dataset) -> tuple[Network, History]:
    network = Network.create([64, 20, 10], rng=2, input_shape=(8, 8), scaling=Scaling.book(16))
    return train(network, digits.train, epochs=6, test=digits.test, rng=2, kernel="numpy")


@pytest.fixture(scope="module")
def scans(trained: tuple[Network, History]) -> BackQuery:
    return back_query(trained[0], list(range(10)))


@pytest.fixture(scope="module")
def evaluation(trained: tuple[Network, History], digits: Dataset) -> Evaluation:
    assert digits.test is not None
    return evaluate(trained[0], digits.test)


def texts(figure: Figure) -> list[str]:
    """Every word in a figure, axes included."""
    found = [text.get_text() for text in figure.texts]
    for ax in figure.axes:
        ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
        found += [text.get_text() for text in [*ax.texts, *ticks, ax.title, ax.xaxis.label, ax.yaxis.label]]
    return [text for text in found if text]


def pixels(figure: Figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    with Image.open(stream) as image:
        return np.asarray(image.convert("L"))


def assert_nothing_is_clipped(figure: Figure) -> None:
    """The outermost pixels are paper: no label runs over the edge."""
    drawn = pixels(figure)
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert edge.min() == 255


def test_every_scan_has_its_ink_on_the_fixed_scale_and_its_caption(
    trained: tuple[Network, History], scans: BackQuery
) -> None:
    network = trained[0]
    figure = plots.scan_grid(scans, network)
    assert network.scaling is not None
    assert len(figure.axes) == 10
    for position, ax in enumerate(figure.axes):
        (image,) = ax.images
        np.testing.assert_allclose(
            image.get_array().ravel(), network.scaling.ink(scans.images[position]), atol=1e-12
        )
        assert image.get_clim() == (0.0, 1.0)
        assert (image.get_cmap().name, image.get_interpolation()) == ("Greys", "nearest")
        written = " ".join(text.get_text() for text in ax.texts)
        read = network.classes[scans.read[position]]
        surely = f"{scans.answers[position].max():.3f}"
        assert written.startswith(f"asked {position} reads {read}, {surely}")
        assert (plots.NOT_READ in written) == (not scans.read_as_asked[position])
    assert f"{int(np.sum(scans.read_as_asked))} of 10 read as asked" in texts(figure)[0]
    assert_nothing_is_clipped(figure)


def test_a_scan_that_is_not_read_as_asked_is_marked_by_its_frame() -> None:
    untrained = Network.create([64, 20, 10], rng=2, input_shape=(8, 8), scaling=Scaling.book(16))
    scans = back_query(untrained, list(range(10)))
    framed = [bool(ax.patches) for ax in plots.scan_grid(scans, untrained).axes]
    assert framed == [not right for right in scans.read_as_asked]
    assert any(framed), "a network that has learned nothing does not recognise all of its own images"


@pytest.mark.parametrize("shape", [(4, 16), (16, 4), (64,), (2, 4, 8), (8, 8, 1)])
def test_images_of_any_shape_can_be_drawn(trained: tuple[Network, History], shape: tuple[int, ...]) -> None:
    network = replace(trained[0], input_shape=shape)
    figure = plots.scan_grid(back_query(network, [3]), network)
    (image,) = figure.axes[0].images
    assert image.get_array().shape == {(4, 16): (4, 16), (16, 4): (16, 4)}.get(shape, (8, 8))
    assert_nothing_is_clipped(figure)


def test_a_model_without_scaling_is_drawn_from_zero_to_one(trained: tuple[Network, History]) -> None:
    network = replace(trained[0], scaling=None)
    result = back_query(network, [3])
    (image,) = plots.scan_grid(result, network).axes[0].images
    np.testing.assert_allclose(image.get_array().ravel(), np.clip(result.images[0], 0, 1))


def test_the_confusion_matrix_shades_mistakes_and_prints_every_count(
    evaluation: Evaluation, digits: Dataset
) -> None:
    figure = plots.confusion_matrix(evaluation, digits.classes)
    (image,) = figure.axes[0].images
    shaded = np.asarray(image.get_array())
    assert np.all(np.diag(shaded) == 0)
    assert np.array_equal(shaded + np.diag(np.diag(evaluation.confusion)), evaluation.confusion)
    numbers = [int(text.get_text()) for text in figure.axes[0].texts]
    assert sum(numbers) == evaluation.images
    truth, read, count = evaluation.worst_confusions(1)[0]
    assert f"{evaluation.performance:.2%} right; most often {truth} is read as {read} ({count})" in texts(figure)
    assert_nothing_is_clipped(figure)


def test_long_names_and_many_classes_fit(evaluation: Evaluation) -> None:
    long = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    assert_nothing_is_clipped(plots.confusion_matrix(evaluation, long))
    assert_nothing_is_clipped(plots.answer_bars(np.linspace(0, 1, 10), long))
    many = tuple(f"sign {number}" for number in range(30))
    perfect = Evaluation(np.eye(30, dtype=np.int64) * 3, np.arange(90) % 30)
    figure = plots.confusion_matrix(perfect, many)
    assert "100.00% right" in texts(figure)
    assert not figure.axes[0].texts, "thirty columns leave no room for numbers"
    assert_nothing_is_clipped(figure)


def test_learning_curves_show_the_history_and_name_where_they_end(trained: tuple[Network, History]) -> None:
    history = trained[1]
    figure = plots.learning_curves(history)
    performance, loss = figure.axes
    tested, learned = (line.get_ydata() for line in performance.lines)
    np.testing.assert_allclose(tested, [100 * (record.test_accuracy or 0) for record in history.epochs])
    np.testing.assert_allclose(learned, [100 * record.train_accuracy for record in history.epochs])
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [record.loss for record in history.epochs])
    assert any(text.startswith("test ") for text in texts(figure))
    assert f"{history.epochs[-1].test_accuracy:.2%} on the test set after 6 epochs" in texts(figure)
    assert_nothing_is_clipped(figure)


def test_learning_curves_of_one_epoch_without_a_test(trained: tuple[Network, History]) -> None:
    first = replace(trained[1].epochs[0], test_accuracy=None)
    figure = plots.learning_curves(replace(trained[1], epochs=(first,)))
    assert any("on the training set after 1 epoch" in text for text in texts(figure))
    assert len(figure.axes[0].lines) == 1
    assert_nothing_is_clipped(figure)


def test_names_of_curves_that_end_together_do_not_overlap(trained: tuple[Network, History]) -> None:
    last = trained[1].epochs[-1]
    together = replace(last, test_accuracy=last.train_accuracy + 1e-5)
    figure = plots.learning_curves(replace(trained[1], epochs=(*trained[1].epochs[:-1], together)))
    figure.draw_without_rendering()
    one, other = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not one.overlaps(other)


def test_answer_bars_stand_for_the_answers_and_stress_the_strongest() -> None:
    answers = [0.1, 0.7, 0.2]
    figure = plots.answer_bars(answers, ("a", "b", "c"))
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == answers
    assert len({bar.get_facecolor() for bar in bars}) == 2
    assert "Read as b, 0.70" in texts(figure)
    assert_nothing_is_clipped(figure)


def test_names_are_drawn_as_they_are_written() -> None:
    figure = plots.answer_bars([0.4, 0.6], ("$x_1$", "два"))
    assert "$x_1$" in texts(figure)
    assert pixels(figure).min() < 100


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_a_figure_is_written_as_its_suffix_says_and_always_the_same(
    tmp_path: Path, suffix: str, start: bytes
) -> None:
    for name in ("one", "two"):
        plots.save_figure(plots.answer_bars([0.4, 0.6], ("a", "b")), tmp_path / f"{name}{suffix}")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one.startswith(start)
    assert one == two


def test_a_sign_that_no_font_has_does_not_stop_the_picture(tmp_path: Path) -> None:
    with pytest.warns(AssumptionWarning, match="no font here has the letters \U00012345: boxes are drawn"):
        plots.save_figure(plots.answer_bars([0.4, 0.6], ("\U00012345", "b")), tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"pictures are written as \.png, \.svg, \.pdf; received .*one\.jpg"):
        plots.save_figure(plots.answer_bars([0.4, 0.6], ("a", "b")), tmp_path / "one.jpg")
    assert list(tmp_path.iterdir()) == []


def test_what_a_layer_looks_for_has_the_signal_and_what_is_read(trained: tuple[Network, History]) -> None:
    network = trained[0]
    found = back_query(network, hidden_node(network, 1, [0, 5], [0.5, 900.0]), method="gauss-newton")
    figure = plots.layer_grid(found, network, ["node 0", "node 5"], [0.5, 900.0])
    said = texts(figure)
    assert "node 0: 0.5" in said and "node 5: 900" in said and f"{plots.READ} as asked" in said
    assert f"{plots.NOT_READ} {found.outcome[1]}" in said
    assert sum(text.startswith("reads ") for text in said) == 2
    assert "What a layer looks for: 1 of 2 give the signal asked for" in said
    assert_nothing_is_clipped(figure)


def test_what_a_layer_kept_stands_beside_the_image_with_the_difference(
    trained: tuple[Network, History], digits: Dataset
) -> None:
    network = trained[0]
    assert network.scaling is not None
    kept = kept_by_layer(network, 1, network.scale(digits.train.images[:2]))
    figure = plots.kept_grid(kept, network)
    first, second, third = (figure.axes[k].images[0].get_array().ravel() for k in range(3))
    originals, images = network.scaling.ink(kept.originals[0]), network.scaling.ink(kept.images[0])
    np.testing.assert_allclose(first, originals, atol=1e-12)
    np.testing.assert_allclose(second, images, atol=1e-12)
    np.testing.assert_allclose(third, 0.5 + (images - originals) / 2, atol=1e-12)
    said = texts(figure)
    assert "What layer 1 kept, 20 signals" in said and f"signals off by {kept.error[1]:.1%}" in said
    assert_nothing_is_clipped(figure)


def test_many_images_stand_beside_the_likeliest_and_their_spread(trained: tuple[Network, History]) -> None:
    network = trained[0]
    result = back_query(network, [3, 8], many=4, method="gauss-newton")
    figure = plots.many_grid(result, network)
    assert_nothing_is_clipped(figure)
    words = texts(figure)
    assert [words.count(one) for one in ("likeliest", "draw 1", "draw 4", "draw 5", "what is free")] == [
        2,
        2,
        2,
        0,
        2,
    ]
    assert f"{int(result.read_as_asked.sum())} of 8 read as asked" in words[0]
    assert any("white is fixed by the answer" in text for text in words)
    assert network.scaling is not None
    assert result.likeliest is not None
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes]
    assert len(shown) == 2 * 6, "a row for each label"
    ink = network.scaling.ink(result.images).reshape(2, 4, 8, 8)
    for row in (0, 1):
        likeliest, *drawn, spread = shown[6 * row : 6 * row + 6]
        np.testing.assert_allclose(likeliest, network.scaling.ink(result.likeliest.images[row]).reshape(8, 8))
        np.testing.assert_allclose(drawn, ink[row])
        mean = sum(drawn) / 4
        np.testing.assert_allclose(spread, 2 * np.sqrt(sum((one - mean) ** 2 for one in drawn) / 4), atol=1e-9)
        assert 0 < spread.max() <= 1


def test_no_picture_is_both_as_asked_and_not_found(trained: tuple[Network, History]) -> None:
    network, _ = trained
    result = back_query(network, [3, 4], method="transpose")
    read = replace(
        result, read=result.labels, read_as_asked=np.array([True, False]), outcome=("stalled", "stalled")
    )
    first, second = (scan_captions(read, network, row) for row in range(2))
    assert first[-1] == "label as asked, answers stalled" and not any("✓" in line for line in first)
    assert second[-2:] == ["✗ not as asked", "stalled"]
