"""The installed command as people and programs meet it: exit codes, one-line errors, JSON, help at once."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery import __version__
from backquery.cli import main
from backquery.cli.pages import COMMANDS, find_page, page_path
from backquery.cli.pages.__main__ import render_page
from backquery.datasets import Split, load
from backquery.io import load_model, save_model, save_text
from backquery.model.evaluation import evaluate
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from tests.conftest import Run

COMMAND = Path(sysconfig.get_path("scripts")) / "backquery"
HEAVY = {"numpy", "scipy", "numba", "matplotlib", "sklearn", "PIL", "cyclopts", "rich", "safetensors", "pooch"}


def installed(*arguments: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the command that pip has installed, as a process of its own."""
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=120, **settings
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has learned the digits."""
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    assert main(["train", "digits", "-o", str(path), "--hidden", "30", "--epochs", "10", "--seed", "1"]) == 0
    return path


def picture_of(split: Split, label: int, path: Path) -> Path:
    """The first image of a label as somebody might have drawn it: dark on white, large."""
    from PIL import Image

    digit = split.images[np.flatnonzero(split.labels == label)[0]]
    paper = (255 - digit * (255 / 16)).astype(np.uint8)
    Image.fromarray(paper).resize((80, 80), Image.Resampling.BICUBIC).save(path)
    return path


# Help


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command) or "backquery")
def test_the_kept_help_pages_are_what_the_commands_say_of_themselves(command: tuple[str, ...]) -> None:
    kept = page_path(command).read_text("utf-8")
    assert kept == render_page(command), "write them anew: python -m backquery.cli.pages"
    assert kept.startswith("Usage: backquery")
    assert max(map(len, kept.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments", [["--help"], ["scan", "--help"], ["data", "inspect", "-h"], ["--version"], []]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from backquery.cli import main; code = main(sys.argv[1:]); "
        f"print(code, *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert answer.stderr.split() == ["0"]
    assert answer.stdout == (f"{__version__}\n" if arguments == ["--version"] else find_page(arguments))


def test_help_is_found_after_other_arguments_too(run: Run) -> None:
    code, out, _ = run("train", "digits", "--help")
    assert code == 0
    assert "--learning-rate" in out


# Errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["learn"], "Unknown command"),
        (["train", "digits"], "-o requires an argument"),
        (["train", "digits", "-o", "m.safetensors", "--recipe", "secret"], '"secret" for --recipe'),
        (["train", "digits", "-o", "m.safetensors", "--epochs", "0"], "--epochs. Must be >= 1"),
        (["train", "digits", "-o", "m.safetensors", "--epochs", "1.5"], "a whole number; received 1.5. Try"),
        (["timeline", "digits", "-o", "m.gif", "--at", "1", "2.5"], "a whole number; received 2.5. Try"),
        (["train", "digits", "-o", "m.safetensors", "--learning-rate", "-1"], "--learning-rate. Must be > 0"),
        (["train", "digits", "-o", "m.safetensors", "--hidden", "20,x"], "--hidden takes numbers of nodes"),
        (["train", "digits", "-o", "m.safetensors", "--activation", "soft"], "unknown activation 'soft'"),
        (["train", "digits", "-o", "m.safetensors", "--activation", "tanh,tanh,tanh"], "2 layers need one"),
        (["scan", "mnist", "-o", "s.png", "--method", "magic"], '"magic" for --method'),
        (["query", "mnist"], "requires an argument"),
        (["test", "mnist", "digits", "--loud"], "Unknown option"),
    ],
)
def test_a_command_that_cannot_be_understood_exits_with_2_and_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("backquery: ")
    assert err.count("\n") == 1
    assert said in err
    assert "--help" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["info", "nothing"], "there is no model 'nothing'"),
        (["info", "{folder}/broken.safetensors"], "no safetensors file"),
        (["info", "{folder}/model.pkl"], "it is a pickle"),
        (["test", "{model}", "nowhere"], "neither a file or folder nor a known data set"),
        (["data", "inspect", "{folder}/broken.csv"], "broken.csv"),
        (["data", "fetch", "nonsense"], "unknown data set 'nonsense'"),
        (["query", "{model}", "{folder}/nothing.png"], "nothing.png"),
        (["query", "{model}", "{folder}/broken.csv"], "broken.csv: cannot be read as PNG"),
        (["scan", "{model}", "-o", "{folder}/s.txt"], "pictures are written as .png, .svg, .pdf"),
        (["scan", "{model}", "-o", "{folder}/nowhere/s.png"], "there is no folder"),
        (["scan", "{model}", "-o", "{folder}/s.png", "--arrays", "{folder}/s.csv"], "arrays are written as .npz"),
        (["scan", "{model}", "-o", "{folder}/s.png", "--label", "ten"], "unknown label 'ten'"),
        (["train", "digits", "-o", "{folder}/m.pkl"], "models are saved as .safetensors"),
        (["train", "digits", "-o", "{folder}/nowhere/m.safetensors"], "there is no folder"),
        (["demo", "-o", "{folder}/broken.csv"], "a file has that name"),
        (["demo", "-o", "{folder}/broken.csv/demo"], "cannot make the folder"),
    ],
)
def test_any_other_error_exits_with_1_and_one_line(
    run: Run, tmp_path: Path, model: Path, arguments: list[str], said: str
) -> None:
    files = {"broken.safetensors": b"not", "model.pkl": b"not", "broken.csv": b"3,x,0,0,0\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code, out, err = run(*(word.format(folder=tmp_path, model=model) for word in arguments))
    assert (code, out) == (1, "")
    assert err.startswith("backquery: ")
    assert err.count("\n") == 1
    assert said in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_failed_training_keeps_the_old_model(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "model.safetensors"
    kept.write_bytes(b"old")
    options = ["--recipe", "minibatch", "--learning-rate", "1e30", "--epochs", "3"]
    code, out, err = run("train", "digits", "-o", kept, *options)
    assert (code, out) == (1, "")
    assert "left the finite numbers" in err
    assert kept.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [kept]


# The commands, in this process


def test_training_gives_the_documented_json_and_a_model_that_says_so(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    code, out, err = run(
        "train", "digits", "-o", path, "--hidden", "20,15", "--epochs", "4", "--seed", "7", "--json"
    )
    answer = json.loads(out)
    assert code == 0
    assert "epoch 4 of 4" in err
    assert answer["history"][-1]["test_accuracy"] == answer["performance"]
    assert [record["epoch"] for record in answer["history"]] == [1, 2, 3, 4]
    assert answer["seconds"] == pytest.approx(sum(record["seconds"] for record in answer["history"]))
    assert answer["kernel"] in ("sparse", "dense", "numpy")
    assert (answer["seed"], answer["held_out"], answer["test_images"]) == (7, False, 719)

    network = load_model(path)
    digits = load("digits")
    assert digits.test is not None
    assert network.sizes == (64, 20, 15, 10)
    assert [layer.biases for layer in network.layers] == [None, None, None]
    assert network.about["performance"] == answer["performance"]
    assert evaluate(network, digits.test).performance == answer["performance"]


def test_the_same_seed_gives_the_same_network(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        options = ["--recipe", "online", "--epochs", "2", "--seed", "3", "--no-keep-prior"]
        assert run("train", "digits", "-o", tmp_path / f"{name}.safetensors", *options)[0] == 0
    one, two = (load_model(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(one.layers, two.layers, strict=True))


@pytest.mark.parametrize(
    ("options", "activations", "biased", "loss"),
    [
        (["--recipe", "book"], ["sigmoid", "sigmoid"], False, "book"),
        (["--recipe", "book", "--biases"], ["sigmoid", "sigmoid"], True, "book"),
        (["--recipe", "online"], ["relu", "softmax"], True, "cross-entropy"),
        (["--recipe", "minibatch", "--activation", "tanh"], ["tanh", "softmax"], True, "cross-entropy"),
        (["--recipe", "minibatch", "--activation", "sigmoid"], ["sigmoid", "sigmoid"], True, "cross-entropy"),
        (["--recipe", "batch", "--no-biases"], ["sigmoid", "sigmoid"], False, "squared"),
        (["--loss", "squared", "--activation", "tanh,sigmoid"], ["tanh", "sigmoid"], False, "squared"),
    ],
)
def test_recipes_and_options_make_the_network_that_help_describes(
    run: Run, tmp_path: Path, options: list[str], activations: list[str], biased: bool, loss: str
) -> None:
    path = tmp_path / "model.safetensors"
    assert run("train", "digits", "-o", path, "--epochs", "1", "--hidden", "12", *options)[0] == 0
    network = load_model(path)
    assert [layer.activation.name for layer in network.layers] == activations
    assert [layer.biases is not None for layer in network.layers] == [biased, biased]
    assert network.about["loss"] == loss
    assert network.scaling is not None
    assert network.scaling.uniform == ("batch" not in options)


def test_images_are_held_out_where_there_is_no_test_half(run: Run, tmp_path: Path) -> None:
    digits = load("digits").train
    np.savez(tmp_path / "mine.npz", images=digits.images[:200], labels=digits.labels[:200])
    code, out, err = run("train", tmp_path / "mine.npz", "-o", tmp_path / "m.safetensors", "--seed", "5", "--json")
    answer = json.loads(out)
    assert (code, answer["held_out"]) == (0, True)
    assert answer["test_images"] == pytest.approx(40, abs=5)
    assert f"{answer['test_images']} images, 20% of each label, held out by seed 5" in err
    assert load_model(tmp_path / "m.safetensors").statistics is None, "not kept unasked for one's own images"


@pytest.mark.parametrize(("recipe", "warned"), [("book", True), ("online", False)])
def test_images_that_come_label_by_label_are_told(run: Run, tmp_path: Path, recipe: str, warned: bool) -> None:
    digits = load("digits").train
    order = np.argsort(digits.labels, kind="stable")
    np.savez(tmp_path / "sorted.npz", images=digits.images[order], labels=digits.labels[order])
    np.savez(tmp_path / "mixed.npz", images=digits.images, labels=digits.labels)
    options = ("--hidden", "5", "--epochs", "1", "--seed", "1", "--recipe", recipe)
    for name, told in (("sorted", warned), ("mixed", False)):
        code, _, err = run("train", tmp_path / f"{name}.npz", "-o", tmp_path / "m.safetensors", *options)
        assert code == 0
        assert ("label by label" in err) == told


def test_statistics_are_kept_for_known_data_or_when_asked(run: Run, tmp_path: Path, model: Path) -> None:
    assert load_model(model).statistics is not None
    path = tmp_path / "bare.safetensors"
    assert run("train", "digits", "-o", path, "--epochs", "1", "--no-keep-prior")[0] == 0
    assert load_model(path).statistics is None


def test_a_test_gives_performance_confusion_and_the_worst(run: Run, model: Path) -> None:
    digits = load("digits")
    assert digits.test is not None
    expected = evaluate(load_model(model), digits.test)
    code, out, err = run("test", model, "digits", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["performance"], answer["images"]) == (expected.performance, 719)
    assert answer["confusion"] == expected.confusion.tolist()
    assert sum(map(sum, answer["confusion"])) == 719
    truth, read, images = expected.worst_confusions(1)[0]
    assert answer["worst_confusions"][0] == {"truth": str(truth), "read": str(read), "images": images}

    code, out, _ = run("test", model, "digits")
    assert code == 0
    assert out.startswith(f"{expected.performance:.2%} right: {np.trace(expected.confusion)} of 719 images")
    assert f"{truth} read as {read}: {images} image" in out


def test_data_on_another_scale_are_brought_to_the_models(run: Run, tmp_path: Path, model: Path) -> None:
    digits = load("digits").test
    assert digits is not None
    np.savez(tmp_path / "bright.npz", images=digits.images * 15.9375, labels=digits.labels, maximum=255.0)
    code, out, err = run("test", model, tmp_path / "bright.npz", "--json")
    assert code == 0
    assert "brought to the model's scale, up to 16" in err
    assert json.loads(out)["confusion"] == json.loads(run("test", model, "digits", "--json")[1])["confusion"]


def test_a_query_reads_pictures(run: Run, tmp_path: Path, model: Path) -> None:
    digits = load("digits")
    pictures = [picture_of(digits.train, label, tmp_path / f"{label}.png") for label in (0, 4, 6)]
    code, out, err = run("query", model, *pictures, "--no-centre", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["read"] == ["0", "4", "6"]
    assert answer["images"] == [str(path) for path in pictures]
    assert np.shape(answer["answers"]) == (3, 10)
    strongest = [answer["classes"][int(np.argmax(values))] for values in answer["answers"]]
    assert strongest == answer["read"]

    code, out, _ = run("query", model, pictures[1], "--no-centre")
    assert code == 0
    assert "read as 4" in out
    bars = {line.split()[0]: line.count("█") for line in out.splitlines()[1:] if line}
    assert max(bars, key=lambda label: bars[label]) == "4"


@pytest.mark.parametrize("method", ["transpose", "gauss-newton"])
def test_a_scan_draws_what_the_network_sees_and_tells_it(
    run: Run, tmp_path: Path, model: Path, method: str
) -> None:
    from PIL import Image

    picture, arrays = tmp_path / "scans.png", tmp_path / "scans.npz"
    code, out, err = run("scan", model, "-o", picture, "--arrays", arrays, "--method", method, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["method"] == method
    assert [scan["label"] for scan in answer["scans"]] == list("0123456789")
    network = load_model(model)
    with np.load(arrays, allow_pickle=False) as saved:
        assert saved["labels"].tolist() == list(range(10))
        answers = network.query(saved["images"])
    for scan, given in zip(answer["scans"], answers, strict=True):
        assert scan["read"] == str(given.argmax()), "what it says is read is what the network reads in the image"
        assert scan["answer"] == pytest.approx(given.max(), abs=1e-5)
        assert not scan["converged"] or scan["read"] == scan["label"]
        assert scan["error"] >= 0
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 800

    code, out, err = run("scan", model, "-o", tmp_path / "some.svg", "--label", "3", "8", "--method", method)
    asked = [line.split()[0] for line in out.splitlines()[1:3]]
    assert (code, asked) == (0, ["3", "8"])
    assert "of 2 read as asked" in out
    assert "some.svg" in err
    assert (tmp_path / "some.svg").read_text("utf-8").startswith("<?xml")


def test_the_method_follows_what_the_model_knows(run: Run, tmp_path: Path, model: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    save_model(replace(load_model(model), statistics=None), bare)
    for source, method, prior in ((model, "gauss-newton", "data"), (bare, "transpose", None)):
        answer = json.loads(run("scan", source, "-o", tmp_path / "s.png", "--label", "1", "--json")[1])
        assert (answer["method"], answer["prior"]) == (method, prior)


def test_a_search_that_fails_says_for_which_labels_and_what_to_do(run: Run, tmp_path: Path, model: Path) -> None:
    options = ["--method", "gauss-newton", "--confidence", "0.999999999"]
    code, out, err = run("scan", model, "-o", tmp_path / "s.png", *options, "--json")
    scans = json.loads(out)["scans"]
    failed = [scan for scan in scans if scan["outcome"] in ("out of reach", "stalled")]
    assert code == 0
    assert failed
    assert not any(scan["converged"] for scan in failed)
    assert all(scan["advice"] for scan in failed)
    code, out, err = run("scan", model, "-o", tmp_path / "s.png", *options)
    assert failed[0]["advice"] in err
    assert failed[0]["outcome"] in out


def test_a_folder_of_text_files_is_a_model_too(run: Run, tmp_path: Path, model: Path) -> None:
    save_text(load_model(model), tmp_path / "text")
    code, out, err = run("test", tmp_path / "text", "digits", "--json")
    assert code == 0
    assert "does not say how pixels become inputs; taking the book's pixel / 16 * 0.99 + 0.01" in err
    assert json.loads(out)["performance"] == json.loads(run("test", model, "digits", "--json")[1])["performance"]


def test_info_says_what_a_model_is(run: Run, model: Path) -> None:
    code, out, err = run("info", model, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["sizes"], answer["parameters"]) == ([64, 30, 10], 64 * 30 + 30 * 10)
    assert answer["scaling"]["maximum"] == 16
    assert answer["about"]["recipe"] == "book"
    _, out, _ = run("info", model)
    assert "64-30-10" in out
    assert "pixels 0 (paper) to 16 (ink) become 0.01 to 1" in out


def test_info_describes_networks_with_little_or_much_to_say(run: Run, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).uniform(0, 255, (20, 4))
    for scaling, said in ((None, "unknown"), (Scaling.standardised(pixels), "a scale of its own")):
        network = Network.create([4, 3], rng=1, scaling=scaling, about={"history": list(range(9))})
        save_model(network, tmp_path / "m.safetensors")
        code, out, _ = run("info", tmp_path / "m.safetensors")
        assert code == 0
        assert said in out
        assert "9 entries" in out
        assert run("info", tmp_path / "m.safetensors", "--json")[0] == 0


def test_the_known_data_sets_are_listed_and_looked_into(run: Run) -> None:
    code, out, err = run("data", "list", "--json")
    known = {entry["name"]: entry for entry in json.loads(out)["data_sets"]}
    assert (code, err) == (0, "")
    assert {"digits", "mnist", "fashion-mnist", "kmnist", "emnist-letters"} <= known.keys()
    assert known["digits"]["at_hand"] is True
    code, out, _ = run("data", "inspect", "digits", "--json")
    summary = json.loads(out)
    assert code == 0
    assert summary["train"]["images"] + summary["test"]["images"] == 1797
    assert sum(summary["train"]["counts"].values()) == summary["train"]["images"]
    code, out, _ = run("data", "inspect", "digits")
    assert "1,078 images" in out
    assert run("data", "fetch", "digits", "--json")[1] == '{"name": "digits", "folder": null}\n'
    assert "mnist" in run("data", "list")[1]


# The installed command, as a process


def test_json_alone_goes_to_standard_output(tmp_path: Path) -> None:
    answer = installed("train", "digits", "-o", tmp_path / "m.safetensors", "--epochs", "2", "--json")
    assert answer.returncode == 0
    assert answer.stdout.count("\n") == 1
    assert set(json.loads(answer.stdout)) >= {"performance", "seconds", "kernel", "history"}
    assert "epoch 2 of 2" in answer.stderr


def test_a_usage_error_and_another_error_of_the_process() -> None:
    assert installed("train").returncode == 2
    answer = installed("info", "nothing.safetensors")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1


def test_python_m_backquery_is_the_same_command() -> None:
    answer = subprocess.run([sys.executable, "-m", "backquery", "--version"], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, f"{__version__}\n")


def test_signs_that_a_terminal_lacks_do_not_stop_the_program(model: Path) -> None:
    answer = installed("test", model, "digits", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert answer.returncode == 0
    assert "right" in answer.stdout


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals work otherwise here")
def test_a_reader_that_leaves_early_is_no_error_to_talk_about(model: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "info", model], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device to write to")
def test_an_answer_that_cannot_be_written_is_one_line(model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run([COMMAND, "info", model], stdout=full, stderr=subprocess.PIPE, text=True)
    assert answer.returncode == 1
    assert answer.stderr == "backquery: cannot use the output: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="closing a stream before the start works otherwise here")
@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_does_not_stop_the_program(model: Path, stream: int) -> None:
    answer = installed("test", model, "digits", preexec_fn=lambda: os.close(stream))
    assert answer.returncode == 0
    assert ("right" in answer.stdout) == (stream == 2)


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals work otherwise here")
def test_ctrl_c_stops_in_one_friendly_line_and_keeps_the_old_model(tmp_path: Path) -> None:
    kept = tmp_path / "m.safetensors"
    kept.write_bytes(b"old")
    arguments = ["train", "digits", "-o", kept, "--epochs", "1000000", "--kernel", "numpy"]
    # A job in the background of a shell inherits that Ctrl-C is ignored; this one must hear it.
    settings: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen([COMMAND, *arguments], stderr=subprocess.PIPE, text=True, **settings) as process:
        try:
            assert process.stderr is not None
            assert any("training 64-200-10" in line for line in process.stderr), "the training never began"
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1].strip().splitlines()
        finally:
            process.kill()
    assert process.returncode == 130
    assert said[-1] == "backquery: stopped; no unfinished file was left behind"
    assert kept.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.skipif(os.name != "posix", reason="limits on files are set otherwise here")
def test_a_disk_that_takes_no_more_is_one_line_and_keeps_the_old_model(tmp_path: Path) -> None:
    import resource

    kept = tmp_path / "m.safetensors"
    kept.write_bytes(b"old")
    answer = installed(
        "train", "digits", "-o", kept, "--epochs", "1", "--kernel", "numpy",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.splitlines()[-1].startswith(f"backquery: cannot write {kept}: File too large")
    assert kept.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [kept]


def test_the_demonstration_runs_without_a_terminal_or_a_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    answer = installed("demo", "--json", cwd=tmp_path, env=environment)
    assert answer.returncode == 0, answer.stderr
    shown = json.loads(answer.stdout)
    assert shown["performance"] > 0.95
    pictures = {Path(path).name for path in shown["pictures"]}
    assert pictures >= {"digits-learning.png", "digits-confusions.png", "mnist-transpose.png"}
    assert all((tmp_path / path).stat().st_size > 5000 for path in shown["pictures"])
    assert len(shown["next"]) == 3
    assert "Report on digits.safetensors" in (tmp_path / shown["report"]).read_text("utf-8")
    assert shown["read_as_asked"]["mnist"]["gauss-newton"] == "10 of 10"
    again = installed("test", shown["model"], "digits", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["performance"] == shown["performance"]


def test_the_demonstration_ends_by_naming_pictures_and_commands(run: Run, tmp_path: Path) -> None:
    code, out, err = run("demo", "-o", tmp_path / "shown")
    assert code == 0
    for path in (tmp_path / "shown").glob("*.png"):
        assert str(path) in out
    lines = out.splitlines()
    following = [shlex.split(line) for line in lines[lines.index("to try next") + 1 :]]
    assert [words[0] for words in following] == ["backquery"] * 3
    assert {words[1] for words in following} == {"scan", "test", "train"}
    assert run(*following[0][1:])[0] == 0, "the command for the model just made works as it stands"
    assert str(tmp_path / "shown" / "digits.html") in out
    assert "done in" in err


def test_a_prior_is_fitted_to_a_finished_network(run: Run, tmp_path: Path, model: Path) -> None:
    bare, kept = tmp_path / "bare.safetensors", tmp_path / "kept.safetensors"
    save_model(replace(load_model(model), statistics=None), bare)
    code, out, err = run("prior", bare, "digits", "-o", kept, "--json")
    assert code == 0
    assert "blurred pictures" in err, "what it reveals is said plainly"
    answer = json.loads(out)
    assert answer["images"] == 1078
    assert 0.5 < answer["variance"] <= 1
    with_prior = load_model(kept)
    assert with_prior.statistics.typical.shape == (10, 10)
    np.testing.assert_array_equal(with_prior.layers[0].weights, load_model(bare).layers[0].weights)
    assert run("scan", kept, "-o", tmp_path / "scan.png")[1].count("converged") == 10
    code, _, err = run("prior", bare, "mnist-missing", "-o", kept)
    assert code == 1
    assert load_model(kept).statistics is not None, "a failed run leaves the file as it was"


def test_compare_shows_every_method_beside_its_controls(run: Run, tmp_path: Path, model: Path) -> None:
    picture = tmp_path / "compare.png"
    code, out, _ = run("compare", model, "digits", "-o", picture, "--json")
    assert code == 0
    answer = json.loads(out)
    kinds = [row["kind"] for row in answer["rows"]]
    assert set(kinds) == {"method", "images", "network"}
    faithful = next(row for row in answer["rows"] if row["name"] == "gauss-newton, typical")
    assert faithful["read_as_asked"] == 10
    assert faithful["read"] == faithful["asked"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_turned_into_another_label(run: Run, tmp_path: Path, model: Path) -> None:
    from PIL import Image

    digits = load("digits")
    four = digits.test.images[int(np.flatnonzero(digits.test.labels == 4)[0])]
    picture = Image.fromarray(np.uint8(255 - 255 * (four / 16))).resize((80, 80))
    picture.save(tmp_path / "four.png")
    code, out, _ = run(
        "scan", model, "--near", tmp_path / "four.png", "--label", "9", "-o", tmp_path / "nine.png", "--json"
    )
    assert code == 0
    (answer,) = json.loads(out)["scans"]
    assert (answer["label"], answer["read"], answer["converged"]) == ("9", "9", True)
    assert (tmp_path / "nine.png").stat().st_size > 2000
