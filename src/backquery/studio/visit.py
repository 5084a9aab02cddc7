"""One open page: the model as it stands there, and the threads that answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np

from backquery.datasets import load
from backquery.errors import BackqueryError, ModelError
from backquery.io import native, save_model
from backquery.model import Network, Scaling
from backquery.studio import engine
from backquery.studio import fields as read
from backquery.studio.alone.made import Sample, page_of
from backquery.studio.code import code
from backquery.studio.describe import LIMITS, describe, news
from backquery.studio.exam import Exam
from backquery.studio.learning import Learning, Lesson
from backquery.studio.mailbox import Mailbox
from backquery.studio.opened import BUNDLED, Opened, Subject
from backquery.studio.protocol import Answer, Request, RequestError, decode, encode, refusal

logger = logging.getLogger(__name__)

LONGEST_NAME = 80

Send = Callable[[bytes], None]


class Visit:
    """What one page asks is answered here. `send` takes binary frames, from any thread, and may wait.

    Nothing of a visit is shared with another: damage and training are the visitor's own.
    """

    def __init__(self, opened: Opened, send: Send) -> None:
        self._opened, self._send = opened, send
        self._subject = opened.subject
        self._versions = 0
        self._learning: Learning | None = None
        self._exam: Exam | None = None
        self._last: dict[str, tuple[int, Any]] = {}
        self._sending = Lock()
        self._closed = False
        # What follows the hand has threads of its own, so that nothing slow stands in its way.
        self._boxes = {name: Mailbox(name) for name in ("query", "back", "other")}
        # All that changes the subject happens in one of them.
        self._unlisten = opened.listen(lambda: self._boxes["other"].put("news", self._tell_news))

    def take(self, frame: str) -> None:
        """Take a request; returns at once. One that cannot be read is answered as id 0, in the lane error."""
        try:
            request = decode(frame)
            if not self._box(request.ask).put(request.lane, lambda: self._reply(request)):
                raise RequestError("too many requests are waiting; wait for answers first")
        except RequestError as error:
            answer = refusal(error)
            self._boxes["query"].put("error", lambda: self._deliver(Request(0, "error", "error"), answer))

    def close(self) -> None:
        """The page is gone."""
        self._closed = True
        self._unlisten()
        if self._learning is not None:
            self._learning.stop()
        for box in self._boxes.values():
            box.close()

    def _box(self, ask: str) -> Mailbox:
        swift = {"query": "query", "pause": "query", "continue": "query", "stop": "query", "back": "back"}
        return self._boxes[swift.get(ask, "other")]

    def _reply(self, request: Request) -> None:
        try:
            answer = self._answer(request, self._subject)
        except BackqueryError as error:
            answer = refusal(error)
        except MemoryError:
            answer = refusal(BackqueryError("there is not enough memory for this"))
        except Exception:  # a fault of ours must not end the conversation
            logger.exception("the studio could not answer %s", request.ask)
            answer = refusal(BackqueryError("something went wrong inside; the terminal shows what"))
        self._deliver(request, answer)

    def _deliver(self, request: Request, answer: Answer) -> None:
        try:
            frame = encode(request, answer)
        except ValueError:  # JSON knows no infinity
            frame = encode(request, refusal(BackqueryError("the numbers have left what can be shown")))
        # Answers come from several threads, and nothing may follow once the page is gone.
        with self._sending:
            if not self._closed:
                self._send(frame)

    def _answer(self, request: Request, subject: Subject) -> Answer:
        """Find who answers; what depends on the model says on which version of it."""
        fields, about_model = request.fields, ANSWERS.get(request.ask)
        if about_model is not None:
            answer = about_model(self, subject, fields)
            return replace(answer, fields={**answer.fields, "version": subject.version})
        change = CHANGES.get(request.ask)
        if change is None:
            raise RequestError(f"unknown ask; known are {', '.join((*ANSWERS, *CHANGES))}")
        return change(self, request)

    # What is asked of the model as it is

    def _back(self, subject: Subject, fields: read.Fields) -> Answer:
        method = str(fields.get("method"))
        version, image = self._last.get(method, (-1, None))
        warm = read.flag(fields, "warm", False)
        start = image if warm and version == subject.version else None
        answer, image = engine.back(subject, fields, start)
        if "draw" not in fields:  # sliders go on from the likeliest image
            self._last[method] = subject.version, image
        return answer

    def _save(self, subject: Subject, _: read.Fields) -> Answer:
        network = engine.need_network(subject.model)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.safetensors"
            save_model(network, path)
            content = np.frombuffer(path.read_bytes(), np.uint8)
        return Answer({"name": subject.file_name}, {"file": content})

    def _page(self, subject: Subject, _: read.Fields) -> Answer:
        name = subject.name.removesuffix(".safetensors")
        # The visitor's own images do not travel unasked; the command line puts them into a page.
        content = page_of(name, subject.model, Sample.of(load(BUNDLED))).encode(errors="replace")
        return Answer({"name": f"{name}.html"}, {"file": np.frombuffer(content, np.uint8)})

    # What changes it

    def _hello(self, _: Request) -> Answer:
        self._subject = self._current()
        return self._described()

    def _damage(self, request: Request) -> Answer:
        network = engine.need_network(self._subject.whole)
        off = read.nodes_off(request.fields, network.sizes)
        subject = self._subject.without(off, self._next_version())
        self._subject = self._tested(subject)
        told = {
            "off": {str(layer): nodes for layer, nodes in off.items()},
            "performance": self._subject.performance,
        }
        return Answer({**told, "version": subject.version})

    def _load(self, request: Request) -> Answer:
        content = read.content(request.fields, "file")
        # It comes back as a file's name when the network is saved.
        name = re.sub(r"[^\w .()-]", "", read.text(request.fields, "name", 1000, "network")).strip() or "network"
        if len(content) > LIMITS["file_bytes"]:
            raise RequestError(f"the file has {len(content)} bytes; at most {LIMITS['file_bytes']} are taken")
        return self._ask_instead(name[-LONGEST_NAME:], network_from(content))

    def _adopt(self, _: Request) -> Answer:
        network = self._learning and self._learning.adopted()
        if not network:
            raise RequestError("no training has ended yet; train a network, or stop the one that learns", "wait")
        return self._ask_instead("trained here", network)

    def _reset(self, _: Request) -> Answer:
        self._subject = replace(self._opened.subject, version=self._next_version())
        return self._described()

    def _train(self, request: Request) -> Answer:
        dataset = self._opened.data_to_learn()
        if dataset is None:
            raise RequestError("the images to learn from are still being opened; ask again in a moment", "wait")
        lesson = Lesson.of(request.fields, dataset)
        if self._learning is not None:
            self._learning.stop()
            self._learning.wait()
        self._learning = Learning(lesson, dataset, lambda answer: self._deliver(request, answer))
        self._learning.start()
        if self._closed:  # the page left meanwhile, and nobody else will stop it
            self._learning.stop()
        return Answer({"state": "started", "data": dataset.name, "images": lesson.images, "hidden": lesson.hidden})

    def _control(self, request: Request) -> Answer:
        learning = self._learning
        if learning is None:
            return Answer({"state": "idle"})
        {"pause": learning.pause, "continue": learning.go_on, "stop": learning.stop}[request.ask]()
        return Answer({"state": learning.state})

    def _ask_instead(self, name: str, network: Network) -> Answer:
        self._subject = self._tested(Subject.of(name, network, self._next_version()))
        return self._described()

    def _tested(self, subject: Subject) -> Subject:
        data = self._opened.data_for(subject.model)
        if data is None:
            return subject
        exams = [exam for exam in (self._opened.exam, self._exam) if exam and exam.model is subject.whole]
        self._exam = exams[0] if exams else Exam(subject.whole, data)
        return replace(subject, performance=self._exam.performance(subject.model))

    def _described(self) -> Answer:
        subject = self._subject
        return Answer({**describe(subject, self._opened), "version": subject.version})

    def _current(self) -> Subject:
        """The subject, with its performance if that can be known by now."""
        ours, theirs = self._subject, self._opened.subject
        if ours.model is theirs.model:
            return replace(ours, performance=theirs.performance)
        return self._tested(ours) if ours.performance is None else ours

    def _tell_news(self) -> None:
        self._subject = self._current()
        told = {**news(self._subject, self._opened), "version": self._subject.version}
        self._deliver(Request(0, "news", "news"), Answer(told))

    def _next_version(self) -> int:
        self._versions += 1
        return self._versions


def network_from(content: bytes) -> Network:
    """The network in the bytes of a .safetensors file; `ModelError` says what is wrong with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        path.write_bytes(content)
        try:
            network = native.load(path)
        except ModelError as error:
            raise ModelError(str(error).replace(str(path), "the file")) from None
    return replace(network, scaling=network.scaling or Scaling.book())


def _with_data(answer: Callable[..., Answer]) -> Ask:
    """What is answered by the data that go with the model, or by None where there are none."""
    return lambda visit, subject, fields: answer(subject, fields, visit._opened.data_for(subject.model))


def _opinion(visit: Visit, subject: Subject, fields: read.Fields) -> Answer:
    data, jury = visit._opened.data_for(subject.model), visit._opened.jury_for(subject.model)
    return engine.opinion(subject, fields, data, jury)


Ask = Callable[[Visit, Subject, read.Fields], Answer]

ANSWERS: dict[str, Ask] = {
    "query": lambda _, subject, fields: engine.query(subject, fields),
    "back": Visit._back,
    "turn": lambda _, subject, fields: engine.turn(subject, fields),
    "opinion": _opinion,
    "proof": lambda _, subject, fields: engine.proof(subject, fields),
    "scans": lambda _, subject, fields: engine.scans(subject, fields),
    "weights": lambda _, subject, fields: engine.weights(subject, fields),
    "evidence": _with_data(engine.evidence),
    "why": lambda _, subject, fields: engine.why(subject, fields),
    "samples": _with_data(engine.samples),
    "image": lambda _, subject, fields: engine.image(subject, fields),
    "save": Visit._save,
    "page": Visit._page,
    "code": lambda visit, subject, fields: code(subject, fields, visit._opened),
}
"""What is asked of the model as it is."""

CHANGES: dict[str, Callable[[Visit, Request], Answer]] = {
    "hello": Visit._hello,
    "damage": Visit._damage,
    "load": Visit._load,
    "adopt": Visit._adopt,
    "reset": Visit._reset,
    "train": Visit._train,
    "pause": Visit._control,
    "continue": Visit._control,
    "stop": Visit._control,
}
"""What makes it another one, or runs beside it."""
