"""A visit from beginning to end, over the socket."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from threading import Event
from zlib import decompress

import numpy as np
import pytest

from backquery import Network, Scaling, evaluate, load_model
from backquery.datasets import Dataset
from backquery.io import native
from backquery.studio.describe import digest
from backquery.studio.files import KINDS, PAGE, page_files
from backquery.studio.opened import Opened, usual_data
from backquery.studio.protocol import Answer, Request
from backquery.studio.visit import Visit
from tests.studio.conftest import Serving, Talk, base64, serving, unpack


def test_hello_describes_the_model(talk: Talk, network: Network, digits: Dataset) -> None:
    model = talk.ask("hello")
    assert model["classes"] == list("0123456789") and model["shape"] == [8, 8]
    assert model["sizes"] == [64, 20, 10] and model["activations"] == ["sigmoid", "sigmoid"]
    assert model["layers"] == [{"layer": 1, "nodes": 20, "bounded": True}]
    assert [method["name"] for method in model["methods"]] == ["transpose", "gauss-newton", "ascent"]
    assert model["method"] == "gauss-newton" and model["typical"] is True
    assert model["answers"] == {"low": 0.01, "high": 0.99, "proportions": False}
    assert model["data"] == {"name": "digits", "training": len(digits.train), "test": 719}
    assert model["training"] == {"name": "digits", "images": len(digits.train)}
    assert model["judges"] == ["neighbours", "linear"]
    assert model["performance"] == evaluate(network, digits.test).performance
    assert model["off"] == {} and model["version"] == 0 and model["limits"]["hidden"] == 500


def test_answers_tell_lane_and_version(talk: Talk, picture: np.ndarray) -> None:
    talk.send("query", lane="my own", pixels=base64(picture))
    answer = talk.receive()
    assert (answer["lane"], answer["ask"], answer["version"], answer["id"]) == ("my own", "query", 0, 1)
    assert answer["read"] == 4 and answer["signals1"].shape == (20,)


def test_of_many_questions_the_last_is_answered(talk: Talk) -> None:
    sent = [talk.send("back", confidences={"3": 0.3 + 0.6 * k / 299}, warm=True) for k in range(300)]
    answered = []
    while not answered or answered[-1] != sent[-1]:
        answered.append(talk.receive()["id"])
    assert answered == sorted(answered) and len(answered) < len(sent)


def test_what_is_slow_does_not_hold_up_what_follows_the_hand(talk: Talk, picture: np.ndarray) -> None:
    for lane in range(5):
        talk.send("scans", lane=f"{lane}", method="ascent")
    answered = []
    number = talk.send("query", pixels=base64(picture))
    while number not in answered:
        answered.append(talk.receive()["id"])
    assert len(answered) < 5


def test_damage_is_the_visitors_own(studio: Serving, network: Network, digits: Dataset) -> None:
    with studio.talk() as one, studio.talk() as other:
        answer = one.ask("damage", off={"1": [7, 2, 2]})
        assert answer["off"] == {"1": [2, 7]} and answer["version"] == 1
        damaged = network.without_nodes([2, 7])
        assert answer["performance"] == evaluate(damaged, digits.test).performance
        assert one.ask("hello")["off"] == {"1": [2, 7]} and other.ask("hello")["off"] == {}
        weights = np.zeros(64, np.uint8)
        assert np.allclose(one.ask("query", pixels=base64(weights))["signals1"][[2, 7]], 0.5)
        healed = one.ask("damage", off={})
        assert healed["performance"] == other.ask("hello")["performance"] and healed["version"] == 2
        assert one.ask("damage", off={"1": list(range(20))})["performance"] < 0.2
        assert one.ask("reset")["off"] == {}


def test_a_saved_page_carries_the_network_as_it_is_there(talk: Talk, network: Network) -> None:
    whole = talk.ask("page")
    assert whole["name"] == "digits.html"
    assert "<title>digits · backquery</title>" in whole["file"].tobytes().decode()
    talk.ask("damage", off={"1": [3]})
    for page, model in ((whole, network), (talk.ask("page"), network.without_nodes([3]))):
        assert native.to_bytes(model) in carried(page["file"].tobytes().decode())


def carried(page: str) -> bytes:
    """What a page of one file carries."""
    content = page.partition('id="content" data-check="')[2].partition(">")[2]
    return decompress(b64decode(content.partition("</script>")[0]))


def test_a_saved_model_can_be_loaded_again(talk: Talk, network: Network, tmp_path: Path) -> None:
    talk.ask("damage", off={"1": [3]})
    saved = talk.ask("save")
    assert saved["name"] == "digits.safetensors"
    (tmp_path / saved["name"]).write_bytes(saved["file"].tobytes())
    found = load_model(tmp_path / saved["name"])
    damaged = network.without_nodes([3])
    for mine, theirs in zip(found.layers, damaged.layers, strict=True):
        assert np.array_equal(mine.weights, theirs.weights)
    opened = talk.ask("load", file=base64(saved["file"].tobytes()), name="my <b>model</b>.safetensors")
    assert opened["name"] == "my bmodelb.safetensors" and opened["version"] == 2 and opened["off"] == {}
    assert opened["performance"] == evaluate(damaged, load_digits_test()).performance
    assert talk.ask("reset")["name"] == "digits"


def load_digits_test() -> object:
    from backquery.datasets import load

    return load("digits").test


def test_a_model_of_another_size_is_asked_as_it_is(talk: Talk, tmp_path: Path) -> None:
    from backquery import save_model

    save_model(
        Network.create([12, 5, 3], rng=1, input_shape=(3, 4), classes=tuple("abc")), tmp_path / "m.safetensors"
    )
    opened = talk.ask("load", file=base64((tmp_path / "m.safetensors").read_bytes()))
    assert opened["shape"] == [3, 4] and opened["classes"] == ["a", "b", "c"]
    assert opened["data"] is None and opened["performance"] is None and opened["judges"] == []
    assert talk.ask("back", label=1)["ink"].shape == (3, 4)
    assert talk.ask("opinion", pixels=base64(bytes(12)))["code"] == "data"
    assert talk.ask("damage", off={"1": [1]})["performance"] is None


def frames_of(talk: Talk, **lesson: object) -> tuple[list[dict], dict]:
    """A training's frames, and its last message."""
    number = talk.send("train", **lesson)
    frames = []
    while (answer := talk.receive())["id"] == number:
        assert "code" not in answer, answer
        if answer["state"] == "learning":
            frames.append(answer)
        elif answer["state"] != "started":
            return frames, answer
    raise AssertionError(answer)


@pytest.mark.parametrize("method", ["transpose", "gauss-newton"])
def test_a_network_learns_before_the_visitors_eyes(talk: Talk, digits: Dataset, method: str) -> None:
    assert talk.ask("adopt")["code"] == "wait"
    frames, last = frames_of(talk, hidden=15, epochs=2, rate=0.3, seed=4, method=method, pace=0)
    assert [frame["frame"] for frame in frames] == list(range(len(frames)))
    assert frames[0]["updates"] == 0 and frames[-1]["updates"] == 2 * len(digits.train) == last["updates"]
    assert frames[0]["ink"].shape == (10, 8, 8) and frames[0]["answers"].shape == (10, 10)
    assert frames[0]["performance"] < 0.4 < 0.7 < last["performance"] and last["state"] == "done"
    adopted = talk.ask("adopt")
    assert adopted["sizes"] == [64, 15, 10] and adopted["performance"] == last["performance"]
    assert adopted["typical"] is True and adopted["version"] == 1
    assert talk.ask("back", label=3)["method"] == "gauss-newton"


def test_what_is_shown_is_the_training_of_the_package(talk: Talk, digits: Dataset, tmp_path: Path) -> None:
    """The network that is adopted is the one that `train` makes of the same seed and settings."""
    from backquery import Online, train
    from backquery.studio.learning import Lesson
    from backquery.training.plan import create

    frames_of(talk, hidden=12, epochs=1, rate=0.2, seed=9, images=500, pace=0)
    talk.ask("adopt")
    (tmp_path / "m.safetensors").write_bytes(talk.ask("save")["file"].tobytes())
    found = load_model(tmp_path / "m.safetensors")
    lesson = Lesson.of({"hidden": 12, "rate": 0.2, "seed": 9, "images": 500}, digits)
    expected, _ = train(create(lesson.plan, digits), digits.train.select(slice(500)), Online(0.2), epochs=1, rng=9)
    for mine, theirs in zip(found.layers, expected.layers, strict=True):
        assert np.allclose(mine.weights, theirs.weights, atol=1e-4)
    assert found.about["training_images"] == 500 and found.about["seed"] == 9


def test_a_training_pauses_goes_on_and_stops(talk: Talk) -> None:
    assert talk.ask("pause")["state"] == "idle"
    number = talk.send("train", hidden=10, epochs=20, pace=0.05)
    while talk.receive().get("frame", 0) < 2:
        pass
    while (answer := talk.receive())["ask"] != "pause":
        talk.send("pause") if answer.get("frame") == 3 else None
    assert answer["state"] == "paused"
    quiet = drained(talk, 0.4)
    assert len(quiet) <= 1  # the frame that was being made
    talk.send("continue")
    assert len(drained(talk, 0.5)) > 3
    talk.send("stop")
    rest = drained(talk, 1.0)
    assert rest[-1]["state"] == "stopped" and rest[-1]["id"] == number
    assert talk.ask("adopt")["sizes"] == [64, 10, 10]


def drained(talk: Talk, seconds: float) -> list[dict]:
    """What comes within so many seconds."""
    found, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            found.append(talk.receive(left))
        except TimeoutError:
            break
    return found


def test_a_flood_of_trainings_runs_one_at_a_time(talk: Talk) -> None:
    most = 0
    for hidden in range(1, 41):
        talk.send("train", lane=f"lane {hidden}", hidden=10 * hidden, epochs=20, pace=1.0)
        most = max(most, sum(thread.name == "backquery-learning" for thread in threading.enumerate()))
    talk.ask("stop")
    assert most <= 1


def test_a_second_training_takes_the_place_of_the_first(talk: Talk) -> None:
    talk.send("train", hidden=10, epochs=20, pace=0.2)
    while talk.receive().get("frame", 0) < 2:
        pass
    frames, last = frames_after(talk, talk.send("train", hidden=8, epochs=1, pace=0))
    assert last["state"] == "done" and len(frames) > 20
    assert talk.ask("adopt")["sizes"] == [64, 8, 10]


def frames_after(talk: Talk, number: int) -> tuple[list[dict], dict]:
    frames: list[dict] = []
    while True:
        answer = talk.receive()
        if answer["id"] == number and answer["state"] == "learning":
            frames.append(answer)
        elif answer["id"] == number and answer["state"] != "started":
            return frames, answer


def test_a_rate_that_diverges_is_told(talk: Talk) -> None:
    number = talk.send("train", hidden=10, rate=10.0, images=200, pace=0)
    while (answer := talk.receive())["id"] == number and answer.get("state") in ("started", "learning"):
        assert np.all(np.isfinite(answer.get("ink", np.zeros(1))))
    assert answer.get("state") == "done" or answer["code"] in ("failed", "training", "inversion")


def test_news_come_as_they_become_known(network: Network, digits: Dataset) -> None:
    may_open = Event()

    def open_data() -> Dataset:
        may_open.wait(30)
        return digits

    opened = Opened("digits", network, open_data)
    with serving(opened) as studio, studio.talk() as talk:
        preparing = opened.prepare()
        model = talk.ask("hello")
        assert model["data"] is None and model["performance"] is None and model["judges"] == []
        assert talk.ask("train")["code"] == "wait"
        assert talk.ask("back", label=3)["read"] == 3
        may_open.set()
        news: dict = {"judges": []}
        while not news["judges"]:
            news = talk.receive()
            assert (news["ask"], news["lane"], news["id"]) == ("news", "news", 0)
        preparing.join()
        assert news["data"]["name"] == "digits" and news["performance"] == talk.ask("hello")["performance"]


def test_the_judge_that_is_not_trained_is_there_first(network: Network, digits: Dataset) -> None:
    opened = Opened("digits", network, lambda: digits)
    seen: list[tuple[str, ...]] = []

    def note() -> None:
        jury = opened.jury_for(network)
        seen.append(() if jury is None else tuple(judge.name for judge in jury.judges))

    opened.listen(note)
    opened.prepare().join()
    assert seen[-2:] == [("neighbours",), ("neighbours", "linear")]


def test_data_that_cannot_be_opened_are_done_without(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    from backquery.errors import DataError

    def open_data() -> Dataset:
        raise DataError("there are none")

    opened = Opened("digits", network, open_data)
    opened.prepare().join()
    assert opened.data_for(network) is None
    assert "does without data: there are none" in caplog.text


def test_the_usual_data_are_those_the_model_names(network: Network, digits: Dataset) -> None:
    found = usual_data(network)
    assert found is not None and np.array_equal(found.train.images, digits.train.images)
    brought = usual_data(replace(network, scaling=Scaling.book(255.0)))
    assert brought is not None and brought.maximum == 255
    for about in ({}, {"data": "my own.csv"}, {"data": ["digits"]}):
        assert usual_data(replace(network, about=about)) is None


@pytest.mark.needs("torch")
def test_a_digest_knows_the_weights_of_a_module_too() -> None:
    import torch

    from backquery import from_torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 3))
    first, again = (digest(from_torch(module, input_shape=(8, 8))) for _ in range(2))
    with torch.no_grad():
        module[2].weight[0, 0] += 1e-3
    assert first is not None and first == again != digest(from_torch(module, input_shape=(8, 8)))


def test_a_digest_knows_weights_and_nothing_else(talk: Talk, network: Network) -> None:
    first = talk.ask("hello")["digest"]
    talk.ask("damage", off={"1": [1]})
    assert talk.ask("hello")["digest"] == first == digest(replace(network, about={}))
    layer = network.layers[1]
    weights = np.array(layer.weights)
    weights[0, 0] += 1e-3
    assert digest(replace(network, layers=(network.layers[0], replace(layer, weights=weights)))) != first


def test_every_file_of_the_page_is_served_as_what_it_is(studio: Serving) -> None:
    for path, place in page_files().items():
        reply = studio.reply(path)
        assert reply.body == place.read_bytes() and reply.headers["content-type"] == KINDS[place.suffix]
    kept = {place for place in PAGE.rglob("*") if place.is_file()}
    assert kept == set(page_files().values())


def test_a_model_that_was_loaded_before_the_data_is_tested_when_they_come(
    network: Network, digits: Dataset, saved: bytes
) -> None:
    may_open = Event()

    def open_data() -> Dataset:
        may_open.wait(30)
        return digits

    opened = Opened("digits", network, open_data)
    with serving(opened) as studio, studio.talk() as talk:
        preparing = opened.prepare()
        assert talk.ask("load", file=base64(saved))["performance"] is None
        may_open.set()
        preparing.join()
        assert talk.ask("hello")["performance"] == evaluate(network, digits.test).performance  # type: ignore[arg-type]


def test_numbers_that_json_does_not_know_do_not_end_the_conversation(studio: Serving) -> None:
    sent: list[bytes] = []
    visit = Visit(studio.opened, sent.append)
    visit._deliver(Request(1, "back", "back"), Answer({"error": float("nan")}))
    visit.close()
    visit._deliver(Request(2, "back", "back"), Answer())
    assert [unpack(frame)["code"] for frame in sent] == ["failed"]
