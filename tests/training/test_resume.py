"""Checkpoints: a training that is killed, at any moment, goes on and ends in the same bytes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from backquery import FullBatch, MiniBatch, Network, Online, train
from backquery.errors import OutputError, TrainingError
from backquery.model import Examples, Scaling
from backquery.training import RECIPES, Checkpoint, TrainingRun, read_settings
from backquery.training import run as training_run
from backquery.training.checkpoint import CHECKSUM, KEY, _checksum
from tests.training.test_training import drawn

CHUNK = 24
IMAGES = 100
COURSES = {
    "book, sparse": (RECIPES["book"], "sparse"),
    "book, dense": (RECIPES["book"], "dense"),
    "book, numpy": (RECIPES["book"], "numpy"),
    "shuffled and falling, sparse": (RECIPES["online"], "sparse"),
    "shuffled and falling, numpy": (RECIPES["online"], "numpy"),
    "adam": (MiniBatch(0.01, batch_size=10), "auto"),
    "momentum, falling": (MiniBatch(0.01, batch_size=7, optimizer="momentum", decay="linear"), "auto"),
    "batches longer than a chunk": (MiniBatch(0.01, batch_size=40), "auto"),
    "the whole at once": (FullBatch(0.25), "auto"),
}


class Killed(BaseException):
    """Ends a training as abruptly as can be within a process."""


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr(training_run, "CHUNK", CHUNK)


def network():
    return Network.create([12, 9, 3], activation=["sigmoid", "softmax"], biases=True, rng=1, dtype="float32")


def content(trained):
    return b"".join(part.tobytes() for layer in trained.layers for part in (layer.weights, layer.biases))


def told(history):
    """The history without its clock."""
    return [{**record, "seconds": None} for record in history.as_json()]


def killed_after(looks, **arguments):
    """A training that is ended at the given look at the outside."""
    left = [looks]

    def progress(done, total):
        left[0] -= 1
        if not left[0]:
            raise Killed

    train(network(), drawn(IMAGES), progress=progress, **arguments)


@pytest.mark.parametrize("course", COURSES)
def test_a_training_ended_at_any_chunk_goes_on_to_the_same_bytes(course, short_chunks, tmp_path):
    recipe, kernel = COURSES[course]
    looks = []
    settings = {"recipe": recipe, "kernel": kernel, "epochs": 3, "test": drawn(20, seed=5), "rng": 4}
    expected, history = train(network(), drawn(IMAGES), progress=lambda *done: looks.append(done), **settings)
    assert len(looks) >= 3
    for look in range(2, len(looks) + 1):
        kept = Checkpoint(tmp_path / f"{look}.checkpoint", every=0.01)
        with pytest.raises(Killed):
            killed_after(look, checkpoint=kept, **settings)
        seen = []
        trained, again = train(
            network(), drawn(IMAGES), resume=kept.path, progress=lambda *done, seen=seen: seen.append(done),
            **{**settings, "rng": None},
        )  # fmt: skip
        assert content(trained) == content(expected)
        assert told(again) == told(history)
        assert seen == looks[look - 1 :]


def test_a_finished_training_that_is_resumed_is_finished(tmp_path):
    kept = Checkpoint(tmp_path / "end.checkpoint")
    expected, _ = train(network(), drawn(IMAGES), RECIPES["online"], epochs=2, rng=1, checkpoint=kept)
    trained, history = train(network(), drawn(IMAGES), RECIPES["online"], epochs=2, resume=kept.path)
    assert content(trained) == content(expected)
    assert [record.epoch for record in history.epochs] == [1, 2]
    assert not history.stopped


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_any_generator_s_state_survives_the_file(bits, short_chunks, tmp_path):
    settings = {"recipe": RECIPES["online"], "epochs": 3}
    expected, _ = train(network(), drawn(IMAGES), rng=np.random.Generator(bits(3)), **settings)
    kept = Checkpoint(tmp_path / "any.checkpoint", every=0.2)
    with pytest.raises(Killed):
        killed_after(7, rng=np.random.Generator(bits(3)), checkpoint=kept, **settings)
    trained, _ = train(network(), drawn(IMAGES), rng=np.random.Generator(bits(8)), resume=kept.path, **settings)
    assert content(trained) == content(expected)


def test_checkpoints_come_as_often_as_asked(short_chunks, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "backquery.training.checkpoint.save_run", lambda run, path: written.append(run.images / IMAGES)
    )
    for every, expected in (
        (1.0, [1, 2, 3]),
        (2.0, [2]),
        (0.5, [0.72, 1, 1.72, 2, 2.72, 3]),
        (9.0, []),
        (1e308, []),
    ):
        written.clear()
        train(network(), drawn(IMAGES), epochs=3, checkpoint=Checkpoint(tmp_path / "c", every))
        assert written == pytest.approx(expected)


def test_stops_between_chunks_change_rounding_alone():
    run = TrainingRun(network().astype("float64"), drawn(IMAGES), RECIPES["online"], epochs=2, rng=1)
    for update in (1, 2, 17, 100, 150):
        run.advance(update)
        assert run.done == run.images == update
    run.advance(1000)
    assert run.ended
    expected, _ = train(network().astype("float64"), drawn(IMAGES), RECIPES["online"], epochs=2, rng=1)
    for a, b in zip(run.snapshot().layers, expected.layers, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("course", COURSES)
def test_looking_in_between_changes_nothing(course, short_chunks):
    recipe, kernel = COURSES[course]
    settings = {"epochs": 3, "rng": 4, "kernel": kernel}
    expected, history = train(network(), drawn(IMAGES), recipe, **settings)
    run = TrainingRun(network(), drawn(IMAGES), recipe, **settings)
    for update in range(0, run.updates + 1, 1 + run.updates // 12):
        seen = run.after(update)
        alone = TrainingRun(network(), drawn(IMAGES), recipe, **settings)
        alone.advance(update)
        for a, b in zip(seen.layers, alone.snapshot().layers, strict=True):
            np.testing.assert_allclose(a.weights, b.weights, rtol=0, atol=1e-5)
    assert content(run.after(run.updates)) == content(expected)
    assert run.end_epoch().loss == history.epochs[-1].loss


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "mine.checkpoint"
    train(network(), drawn(IMAGES), epochs=2, rng=3, checkpoint=Checkpoint(path))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 3}, "epochs was 2 and is 3"),
        ({"rng": 4}, "seed was 3 and is 4"),
        ({"recipe": Online(0.2)}, "learning_rate was 0.1 and is 0.2"),
        ({"recipe": MiniBatch(), "kernel": "numpy"}, "recipe was Online and is MiniBatch"),
        ({"kernel": "numpy"}, "kernel was sparse and is numpy"),
        ({"data": drawn(IMAGES, seed=1)}, "the training data are others"),
        ({"data": drawn(IMAGES - 1)}, "the training data are others"),
        ({"test": drawn(10)}, "the test data are others"),
        ({"network": Network.create([12, 8, 3], rng=1)}, "sizes was .* activations was .* biases was"),
        ({"network": network().astype("float64")}, "dtype was float32 and is float64"),
    ],
)
def test_another_training_cannot_take_over_a_checkpoint(kept, change, message):
    given = {"network": network(), "data": drawn(IMAGES), "epochs": 2, "kernel": "sparse", **change}
    with pytest.raises(TrainingError, match=message):
        train(given.pop("network"), given.pop("data"), resume=kept, **given)


def test_files_that_are_no_checkpoints_are_one_clear_error(kept, tmp_path):
    whole = kept.read_bytes()
    broken = tmp_path / "broken.checkpoint"
    contents = [whole[:length] for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1)]
    text = json.dumps({"backquery-checkpoint": 1}).encode()
    contents += [text, whole.replace(b"PCG64", b"PCG65"), whole.replace(b'"float32', b'"float64'), b"\x80\x04."]
    contents.append(whole.replace(b'\\"done\\": 200', b'\\"done\\": 999'))
    for damaged in contents:
        assert damaged != whole
        broken.write_bytes(damaged)
        with pytest.raises(TrainingError, match="checkpoint"):
            train(network(), drawn(IMAGES), epochs=2, resume=broken)
    with pytest.raises(TrainingError, match="there is no checkpoint"):
        train(network(), drawn(IMAGES), epochs=2, resume=tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="is a folder; name the checkpoint in it"):
        train(network(), drawn(IMAGES), epochs=2, resume=tmp_path)


def test_a_checkpoint_that_is_whole_and_none_of_ours_is_one_clear_error(kept, tmp_path, monkeypatch):
    with safe_open(kept, framework="numpy") as file:
        description = json.loads(file.metadata()[KEY])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)

    def resumed(description):
        text = json.dumps(description)
        changed = tmp_path / "changed.checkpoint"
        changed.write_bytes(save(arrays, metadata={KEY: text, CHECKSUM: _checksum(text, arrays)}))
        return train(network(), drawn(IMAGES), epochs=2, resume=changed)

    resumed(description)
    with pytest.raises(TrainingError, match="is no checkpoint, or was damaged"):
        resumed(description | {"settings": []})
    with pytest.raises(TrainingError, match="is of another version of backquery"):
        resumed(description | {"version": 999})
    with pytest.raises(TrainingError, match="cannot be used: it is damaged"):
        resumed(description | {"state": description["state"] | {"done": -5}})

    def failing(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("safetensors.safe_open", failing)
    with pytest.raises(TrainingError, match=r"cannot read the checkpoint .*: Input/output error"):
        resumed(description)


def test_where_a_checkpoint_cannot_be_written_is_said_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        Checkpoint(tmp_path / "nowhere" / "a.checkpoint")
    for every in (0, -1.0, float("inf"), float("nan")):
        with pytest.raises(TrainingError, match=f"a number above zero; received {every}"):
            Checkpoint(tmp_path / "a.checkpoint", every)


def test_a_checkpoint_tells_its_settings(kept):
    settings = read_settings(kept)
    assert settings["seed"] == 3
    assert settings["sizes"] == [12, 9, 3]
    assert replace(RECIPES["book"], learning_rate=settings["learning_rate"]) == RECIPES["book"]


def test_the_command_goes_on_after_an_interrupt(run, tmp_path, monkeypatch):
    expected, output, kept = (tmp_path / end for end in ("whole.safetensors", "a.safetensors", "a.checkpoint"))
    command = ["train", "digits", "--recipe", "minibatch", "--hidden", "9", "--epochs", "6", "-o"]
    assert run(*command, expected, "--seed", "8")[0] == 0
    told = []

    def interrupt(watch, done, total):
        told.append(done)
        if len(told) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("backquery.cli.progress.TrainingProgress.images", interrupt)
        code, _, err = run(*command, output, "--checkpoint-every", "1", "--seed", "8")
    assert code == 130
    assert f"--resume {kept}" in err
    assert not output.exists()

    for changed, said in (
        ("--learning-rate", "learning_rate was 0.001 and is 7.0"),
        ("--seed", "seed was 8 and is 7"),
    ):
        code, _, err = run(*command, output, "--resume", kept, changed, "7")
        assert code == 1
        assert said in err
    code, out, err = run(*command, output, "--checkpoint-every", "1", "--resume", kept, "--json")
    assert code == 0, err
    assert [record["epoch"] for record in json.loads(out)["history"]] == [1, 2, 3, 4, 5, 6]
    assert output.read_bytes() == expected.read_bytes()
    assert not kept.exists()


def test_the_checkpoint_of_an_earlier_training_is_not_lost(run, tmp_path):
    kept = tmp_path / "a.checkpoint"
    kept.write_bytes(b"of an earlier training")
    for more in ([], ["--resume", tmp_path / "another"]):
        code, _, err = run("train", "digits", "-o", tmp_path / "a.safetensors", "--checkpoint-every", "5", *more)
        assert code == 1
        assert f"go on from it with --resume {kept}, or remove it" in err
        assert kept.read_bytes() == b"of an earlier training"


def test_a_command_that_cannot_go_on_says_why(run, tmp_path):
    command = ["train", "digits", "-o", tmp_path / "a.safetensors"]
    code, _, err = run(*command, "--resume", tmp_path / "nowhere")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "there is no checkpoint" in err
    code, _, err = run(*command, "--checkpoint-every", "0")
    assert code == 2
    assert "--checkpoint-every" in err


COMMANDS = {
    "compiled": ["--recipe", "book", "--kernel", "sparse", "--epochs", "20", "--checkpoint-every", "0.3"],
    "numpy": ["--recipe", "online", "--kernel", "numpy", "--epochs", "8", "--checkpoint-every", "0.3"],
    "minibatch": ["--recipe", "minibatch", "--epochs", "20", "--checkpoint-every", "0.3"],
    "batch": ["--recipe", "batch", "--epochs", "120", "--checkpoint-every", "2"],
}
KILLS = 5


@pytest.fixture(scope="module")
def many_images(tmp_path_factory):
    """Enough images that an epoch has several chunks, small enough that one takes no time."""
    rng = np.random.default_rng(0)
    images = (rng.random((9000, 4, 4)) * 255 * (rng.random((9000, 4, 4)) < 0.4)).astype(np.uint8)
    labels = images.reshape(9000, -1).argmax(axis=1) % 3
    path = tmp_path_factory.mktemp("data") / "many.npz"
    np.savez(path, x_train=images, y_train=labels)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_real_processes_killed_at_random_moments_end_in_the_same_file(name, many_images, tmp_path):
    """SIGKILL, five times in each of four trainings; when, after the next checkpoint, is drawn.

    The moments fall everywhere, in the writing of the one after it too. Each process goes on where the last was
    killed, and one more goes on to the end.
    """
    moments = random.Random(name)
    command = [sys.executable, "-m", "backquery", "train", str(many_images), *COMMANDS[name], "--hidden", "8"]
    expected, output, kept = (tmp_path / end for end in ("whole.safetensors", "a.safetensors", "a.checkpoint"))
    subprocess.run([*command, "--seed", "6", "-o", str(expected)], check=True, capture_output=True)

    arguments = ["--seed", "6", "-o", str(output)]
    for _ in range(KILLS):
        with subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL) as process:
            wait_for_checkpoint(kept, process)
            sleep(moments.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "the training was too short to be killed"
        assert read_settings(kept)["seed"] == 6
        arguments = ["-o", str(output), "--resume", str(kept)]
    subprocess.run([*command, *arguments], check=True, capture_output=True)
    assert output.read_bytes() == expected.read_bytes()
    assert not kept.exists()


def wait_for_checkpoint(path, process):
    """Until the file has been written, or replaced, or the process has ended."""
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None and (path.stat().st_mtime_ns if path.exists() else None) == before:
        sleep(0.0005)


def test_one_bit_that_flips_is_noticed_wherever_it_is(kept, tmp_path):
    whole, rng = kept.read_bytes(), np.random.default_rng(0)
    broken = tmp_path / "broken.checkpoint"
    for bit in rng.integers(8 * len(whole), size=150):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        broken.write_bytes(damaged)
        with pytest.raises(TrainingError, match="checkpoint"):
            train(network(), drawn(IMAGES), epochs=2, kernel="sparse", resume=broken)


def test_the_same_images_under_another_scaling_are_other_data() -> None:
    images, labels = np.arange(96, dtype=np.uint8).reshape(8, 3, 4), np.arange(8) % 3
    network = Network.create([12, 3], rng=1, input_shape=(3, 4))
    prints = set()
    for scaling in (Scaling(0.01, 0.0), Scaling(0.02, 0.0), Scaling(0.01, 0.5), Scaling(np.full(12, 0.01), 0.0)):
        examples = Examples.of(replace(network, scaling=scaling), SimpleNamespace(images=images, labels=labels))
        prints |= {training_run._fingerprint(examples), training_run._fingerprint(examples)}
    assert len(prints) == 4
