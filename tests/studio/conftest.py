"""A studio that really serves, on a free port of this machine, and a client that talks to it by the letter."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from socket import create_connection
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backquery import Network, Scaling, fit_statistics, train
from backquery.datasets import Dataset
from backquery.studio.opened import Opened
from backquery.training import MiniBatch
from tests.needs import needs

if TYPE_CHECKING:
    import uvicorn
    from websockets.sync.client import ClientConnection

    from backquery.studio.guard import Guard

DTYPES = {"f4": "<f4", "i4": "<i4", "u1": "u1"}


def unpack(frame: bytes) -> dict[str, Any]:
    """An answer as one dictionary, arrays under their names: the protocol's text, read anew."""
    (length,) = struct.unpack("<I", frame[:4])
    message = json.loads(frame[4 : 4 + length])
    rest = frame[(4 + length + 7) // 8 * 8 :]
    for array in message.pop("arrays"):
        size = int(np.prod(array["shape"])) * np.dtype(DTYPES[array["dtype"]]).itemsize
        message[array["name"]] = np.frombuffer(rest[:size], DTYPES[array["dtype"]]).reshape(array["shape"])
        rest = rest[(size + 7) // 8 * 8 :]
    assert not rest
    return message


def base64(values: Any) -> str:
    """Bytes, or an array of small whole numbers, as the page sends them."""
    content = values if isinstance(values, bytes) else np.asarray(values, np.uint8).tobytes()
    return b64encode(content).decode()


class Talk:
    """One WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self._last = socket, 0

    def send(self, ask: str, lane: str | None = None, **fields: Any) -> int:
        self._last += 1
        lanes = {} if lane is None else {"lane": lane}
        self.socket.send(json.dumps({"id": self._last, "ask": ask, **lanes, **fields}))
        return self._last

    def receive(self, timeout: float = 30) -> dict[str, Any]:
        frame = self.socket.recv(timeout)
        assert isinstance(frame, bytes)
        return unpack(frame)

    def ask(self, ask: str, **fields: Any) -> dict[str, Any]:
        number = self.send(ask, **fields)
        while (answer := self.receive())["id"] != number:
            pass
        return answer


@dataclass(frozen=True)
class Reply:
    """An HTTP response; names of headers in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, received: bytes) -> Reply:
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return cls(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, body)


@dataclass
class Serving:
    """A studio that listens."""

    guard: Guard
    opened: Opened
    authority: str
    server: uvicorn.Server

    @property
    def origin(self) -> str:
        return f"http://{self.authority}"

    @property
    def port(self) -> int:
        return int(self.authority.rpartition(":")[2])

    @cached_property
    def cookie(self) -> str:
        """What the browser keeps after a launch link."""
        return self.reply(self.guard.link(), Cookie="").headers["set-cookie"].split(";")[0]

    def reply(self, path: str, method: str = "GET", version: str = "1.1", **headers: str) -> Reply:
        """The reply to a request that is right but for `headers`; an empty one is left out."""
        headers = {"Host": self.authority, "Connection": "close"} | headers
        if "Cookie" not in headers:
            headers["Cookie"] = self.cookie
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value)
        return self.raw(f"{method} {path.removeprefix(self.origin)} HTTP/{version}\r\n{lines}\r\n")

    def raw(self, request: str) -> Reply:
        """The reply to exactly these bytes."""
        with create_connection(("127.0.0.1", self.port), 10) as line:
            line.sendall(request.encode("latin-1"))
            received = b""
            while part := line.recv(65536):
                received += part
                if b"HTTP/1.1 101 " in received:
                    break
        return Reply.of(received)

    @contextmanager
    def talk(self, **changed: str) -> Iterator[Talk]:
        from websockets.sync.client import connect

        headers = {"Cookie": self.cookie} | changed
        origin = headers.pop("Origin", self.origin)
        address = f"ws://{self.authority}/live"
        with connect(address, origin=origin, additional_headers=headers, max_size=2**26) as socket:  # type: ignore[arg-type]
            yield Talk(socket)


@contextmanager
def serving(opened: Opened) -> Iterator[Serving]:
    needs("starlette", "uvicorn", "websockets")
    import uvicorn

    from backquery.studio.app import build_app
    from backquery.studio.guard import Guard
    from backquery.studio.launch import authority_of, bind, settings

    listener = bind("127.0.0.1", 0)
    authority = authority_of(listener, "127.0.0.1")
    guard = Guard(build_app(opened), authority)
    server = uvicorn.Server(settings(guard))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Serving(guard, opened, authority, server)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def network(digits: Dataset) -> Network:
    """64-20-10, which reads nine in ten of the digits, and keeps statistics of them."""
    begin = Network.create(
        [64, 20, 10], rng=1, input_shape=(8, 8), classes=digits.classes, scaling=Scaling.book(digits.maximum)
    )
    trained, _ = train(begin, digits.train, MiniBatch(0.01, batch_size=32), epochs=15, rng=1)
    return replace(trained, statistics=fit_statistics(trained, digits.train), about={"data": "digits"})


@pytest.fixture(scope="session")
def studio(network: Network, digits: Dataset) -> Iterator[Serving]:
    """Everything is ready: data, performance, judges."""
    opened = Opened("digits", network, lambda: digits)
    opened.prepare().join()
    with serving(opened) as running:
        yield running


@pytest.fixture
def talk(studio: Serving) -> Iterator[Talk]:
    with studio.talk() as conversation:
        yield conversation


@pytest.fixture
def picture(digits: Dataset) -> np.ndarray:
    """The first 4 of the test images, as bytes of ink."""
    assert digits.test is not None
    chosen = digits.test.images[digits.test.labels == 4][0]
    return np.rint(chosen * (255 / digits.maximum)).astype(np.uint8)


@pytest.fixture
def saved(network: Network, tmp_path: Path) -> bytes:
    from backquery import save_model

    save_model(network, tmp_path / "network.safetensors")
    return (tmp_path / "network.safetensors").read_bytes()
