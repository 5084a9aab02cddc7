"""Timelines: what stands in a frame, against training and asking anew; pictures, files, the command."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from backquery import MiniBatch, Network, Scaling, evaluate, fit_statistics, train
from backquery.errors import DataError, ExperimentError, InversionError, OutputError
from backquery.experiments.timeline import Frame, Timeline, frames, load_timeline, log_spaced, watch_training
from backquery.inversion import back_query
from backquery.model.protocol import ink_of
from backquery.plots import film_strip, save_animation, timeline, timeline_frame
from backquery.training import TrainingRun

RECIPE = MiniBatch(0.01, batch_size=32)
EPOCH = 34
"""Updates in a round through the 1,078 digits."""


def untrained(digits, seed=1, activation="sigmoid"):
    return Network.create(
        [64, 30, 10], activation=activation, rng=seed, input_shape=(8, 8), scaling=Scaling.book(digits.maximum)
    )


def begun(digits, seed=1, epochs=6, activation="sigmoid"):
    return TrainingRun(untrained(digits, seed, activation), digits.train, RECIPE, epochs=epochs, rng=seed)


@pytest.fixture(scope="module")
def watched(digits):
    """A short training and its timeline."""
    run = begun(digits)
    return run, watch_training(run, digits, at=[0, 3, EPOCH, 2 * EPOCH, 6 * EPOCH])


@pytest.mark.parametrize("updates", [1, 2, 9, 90, 300_000, 12_345_678])
@pytest.mark.parametrize("count", [2, 3, 10, 30])
def test_moments_are_round_rising_and_few_enough(updates, count):
    moments = log_spaced(updates, count)
    assert moments[0] == 0
    assert moments[-1] == updates
    assert list(moments) == sorted(set(moments))
    assert len(moments) <= max(count, 2)
    assert all(len(str(update).rstrip("0")) <= 2 for update in moments[:-1])


def test_moments_lie_evenly_on_a_logarithmic_scale():
    moments = np.array(log_spaced(300_000, 30)[1:])
    assert len(moments) > 24
    ratios = moments[5:] / moments[4:-1]
    assert ratios.max() < 1.3 * np.median(ratios)


def test_every_frame_is_what_training_so_far_and_asking_anew_gives(digits, watched):
    _, found = watched
    statistics = fit_statistics(untrained(digits), digits.train)
    for frame, epochs in zip(found.frames[2:], (1, 2, 6), strict=True):
        trained, _ = train(untrained(digits), digits.train, RECIPE, epochs=epochs, rng=1)
        usual = fit_statistics(trained, digits.train).typical
        scans = back_query(
            replace(trained, statistics=replace(statistics, typical=usual)), range(10), method="gauss-newton"
        )
        assert frame.updates == epochs * EPOCH
        assert frame.epochs == epochs
        assert frame.performance == evaluate(trained, digits.test).performance
        np.testing.assert_allclose(frame.ink, ink_of(trained, scans.images), atol=1e-6)
        assert frame.read.tolist() == scans.read.tolist()


def test_the_network_that_was_watched_is_the_one_that_was_not(digits, watched):
    trained, _ = train(untrained(digits), digits.train, RECIPE, epochs=6, rng=1)
    for a, b in zip(watched[0].snapshot().layers, trained.layers, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_what_is_said_to_be_read_is_read(digits, watched):
    run, found = watched
    network, frame = run.snapshot(), found.frames[-1]
    answers = network.query(network.scale(frame.ink.reshape(-1, 8, 8) * digits.maximum))
    assert answers.argmax(axis=1).tolist() == frame.read.tolist()
    np.testing.assert_allclose(answers.max(axis=1), frame.answers, atol=1e-5)
    assert frame.read_as_asked.tolist() == [read == label for label, read in enumerate(frame.read)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_network_learns_to_see_what_it_is_asked_for(digits, seed):
    """Untrained it reads some scans as asked at best, though the search does what it can; trained it reads all."""
    first, last = watch_training(begun(digits, seed), digits, at=[0, 6 * EPOCH]).frames
    assert first.performance < 0.4
    assert last.performance > 0.8
    assert first.read_as_asked.sum() < 10
    assert last.read_as_asked.all()


def test_the_book_s_method_needs_no_statistics(digits, monkeypatch):
    monkeypatch.setattr("backquery.experiments.timeline.statistics_of", None)
    run, told = begun(digits), []
    found = watch_training(run, digits, at=[5, 0, 5], method="transpose", progress=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    assert [frame.updates for frame in found.frames] == [0, 5]
    network = begun(digits).after(5)
    by_hand = back_query(network, range(10), method="transpose")
    np.testing.assert_array_equal(found.frames[1].ink, ink_of(network, by_hand.images))


def test_the_default_moments_cover_the_whole_training(digits):
    run = begun(digits, epochs=1)
    found = watch_training(run, digits, method="transpose")
    assert tuple(frame.updates for frame in found.frames) == log_spaced(EPOCH)
    assert run.ended


def test_frames_come_one_at_a_time(digits):
    run = begun(digits)
    each = frames(run, digits, at=[0, 2, 100], method="transpose")
    assert run.done == 0
    assert [next(each).updates, run.done] == [0, 0]
    assert [next(each).updates, run.done] == [2, 0]
    assert [next(each).updates, run.done] == [100, 2 * EPOCH]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": [0, 999_999]}, "from 0 to 204; received 999,999"),
        ({"at": [-1]}, "received -1"),
        ({"at": []}, "received none"),
        ({"at": [1], "method": "magic"}, "unknown method 'magic'; choose one of transpose"),
    ],
)
def test_moments_and_methods_that_there_are_not(digits, arguments, message):
    with pytest.raises(ExperimentError, match=message):
        watch_training(begun(digits), digits, **arguments)


@pytest.mark.parametrize("frames", [1, 10**11])
def test_too_few_and_too_many_frames_are_refused(frames):
    with pytest.raises(ExperimentError, match=f"from 2 to 10,000 frames; received 1,000 and {frames:,}"):
        log_spaced(1000, frames)


@pytest.mark.parametrize("method", ["gauss-newton", "transpose"])
def test_a_training_that_diverges_is_said_to(run, method, tmp_path):
    """Also where the look comes between the update that did it and the next one, which would fail on it."""
    strip = tmp_path / "t.png"
    options = ("--learning-rate", "1e300", "--at", "1", "--seed", "1")
    code, out, err = run("timeline", "digits", "-o", strip, "--method", method, *options)
    assert (code, out, strip.exists()) == (1, "", False)
    assert "training left the finite numbers at image 1 of epoch 1" in err.splitlines()[-1]


def test_questions_that_cannot_be_asked_are_said_at_once(digits):
    run = begun(digits, activation="relu")
    with pytest.raises(InversionError, match="relu has none"):
        watch_training(run, digits, method="transpose")
    assert run.done == 0
    with pytest.raises(ExperimentError, match="from 2 to 10,000 frames; received 100 and 1"):
        log_spaced(100, 1)


def drawn(seed, count, labels, shape):
    """A timeline of random numbers; only its form is right."""
    rng = np.random.default_rng(seed)
    return Timeline(
        tuple(
            Frame(
                7 * k, 0.5 * k, rng.random(), rng.random((labels, shape[0] * shape[1])),
                rng.integers(0, labels, labels), rng.random(labels),
            )
            for k in range(count)
        ),
        tuple(f"класс {k}" for k in range(labels)), shape, "transpose", "drawn",
    )  # fmt: skip


@pytest.mark.parametrize(("count", "labels", "shape"), [(1, 2, (3, 3)), (4, 3, (2, 5)), (9, 12, (4, 4))])
def test_saving_then_loading_is_the_identity(count, labels, shape, tmp_path):
    given = drawn(1, count, labels, shape)
    given.save(tmp_path / "t.npz")
    loaded = load_timeline(tmp_path / "t.npz")
    assert loaded.as_json() == given.as_json()
    assert (loaded.classes, loaded.image_shape, len(loaded)) == (given.classes, shape, count)
    for a, b in zip(loaded.frames, given.frames, strict=True):
        np.testing.assert_allclose(a.ink, b.ink, atol=1e-7)
        assert a.read_as_asked.tolist() == b.read_as_asked.tolist()


def test_files_that_hold_no_timeline_are_one_clear_error(tmp_path):
    path = tmp_path / "t.npz"
    drawn(1, 3, 4, (3, 3)).save(path)
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="timeline"):
            load_timeline(path)
    changes = {
        "read": arrays["read"] + 9, "ink": arrays["ink"][:2], "performance": arrays["performance"] * np.nan,
        "classes": np.array([{}, 1], dtype=object), "updates": arrays["updates"].astype(str),
        "image_shape": np.array([9.5]), "method": np.array([1, 2]),
    }  # fmt: skip
    for name, values in changes.items():
        np.savez(path, **{**arrays, name: values})
        with pytest.raises(DataError, match="holds no timeline"):
            load_timeline(path)
    np.savez(path, images=np.zeros(3))
    with pytest.raises(DataError, match="backquery timeline --arrays"):
        load_timeline(path)
    with pytest.raises(DataError, match="cannot read the timeline"):
        load_timeline(tmp_path / "nowhere.npz")


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_a_frame_says_how_far_the_learning_has_come(watched):
    _, found = watched
    figure = timeline_frame(found, 1)
    frame = found.frames[1]
    said = " | ".join(texts(figure))
    asked = int(frame.read_as_asked.sum())
    assert f"After 3 updates: {frame.performance:.1%} right, {asked} of 10 read as asked" in said
    assert said.count("✓") == asked
    assert said.count("✗") == 10 - asked
    images = [ax.images[0] for ax in figure.axes]
    assert all(image.get_clim() == (0.0, 1.0) for image in images)
    np.testing.assert_array_equal(images[4].get_array(), frame.ink[4].reshape(8, 8))


def test_a_film_strip_shows_the_first_and_the_last_moment(watched):
    _, found = watched
    said = texts(film_strip(found))
    for frame in (found.frames[0], found.frames[-1]):
        assert f"{frame.updates:,}" in said
        assert f"{frame.performance:.1%}" in said
    assert len(film_strip(found).axes[0].images) == 5 * 10
    assert len(film_strip(drawn(1, 40, 3, (4, 4))).axes[0].images) == 9 * 3


@pytest.mark.parametrize("suffix", [".gif", ".apng"])
def test_an_animation_shows_every_frame_and_holds_the_last(watched, suffix, tmp_path):
    _, found = watched
    path = tmp_path / f"t{suffix}"
    save_animation(found, path)
    with Image.open(path) as animation:
        assert animation.n_frames == len(found)
        assert animation.info["loop"] == 0
        pace, pictures = [], []
        for position in range(animation.n_frames):
            animation.seek(position)
            pictures.append(np.asarray(animation.convert("L"), float))
            pace.append(animation.info["duration"])
    assert pace == [400] * (len(found) - 1) + [4000]
    timeline_frame(found, 2).savefig(tmp_path / "alone.png", dpi=100)
    with Image.open(tmp_path / "alone.png") as alone:
        expected = np.asarray(alone.convert("L"), float)
    np.testing.assert_allclose(pictures[2], expected, atol=1)
    assert np.abs(pictures[0] - pictures[-1]).max() > 100


@pytest.mark.parametrize("suffix", [".gif", ".apng"])
def test_no_byte_of_an_animation_is_written_past_what_looks_whether_it_was(watched, suffix, tmp_path, monkeypatch):
    """Pillow writes to a real file by itself, and takes half of what it wrote for all."""
    counted = []

    class Counting(io.BufferedWriter):
        def write(self, content):
            counted.append(len(content))
            return super().write(content)

    @contextmanager
    def replacing(path):
        with Counting(io.FileIO(path, "w")) as stream:
            yield stream

    monkeypatch.setattr(timeline, "replacing", replacing)
    save_animation(watched[1], tmp_path / f"t{suffix}")
    assert sum(counted) == (tmp_path / f"t{suffix}").stat().st_size > 0


def test_animations_have_suffixes_of_their_own(watched, tmp_path):
    with pytest.raises(OutputError, match=r"written as .gif, .apng; received .*t.mp4"):
        save_animation(watched[1], tmp_path / "t.mp4")
