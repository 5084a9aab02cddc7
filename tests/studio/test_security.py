"""Attacks on a studio that serves on a real socket: each is tried on the wire, and must be refused."""

# ruff: noqa: E402 (what an extra brings is imported once it is known to be there)

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.needs import needs
from tests.studio.conftest import Serving, base64

needs("starlette", "uvicorn", "websockets")

from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from backquery.errors import BackqueryError
from backquery.studio.app import MOST_VISITS, build_app
from backquery.studio.files import page_files
from backquery.studio.guard import POLICY
from backquery.studio.launch import authority_of, bind
from backquery.studio.protocol import FRAME_LIMIT

METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


def paths(studio: Serving) -> list[str]:
    """Every path that there is, from the application's own table of routes."""
    return [route.path for route in build_app(studio.opened).routes]  # type: ignore[attr-defined]


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def status_of(studio: Serving, path: str, **headers: str) -> int:
    """The status of a GET that is right but for `headers`."""
    return studio.reply(path, **headers).status


def handshake(studio: Serving, **headers: str) -> int:
    """The same for the WebSocket's opening handshake; 101 lets in."""
    sent = {
        "Origin": studio.origin,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    return studio.reply("/live", **(sent | headers)).status


def test_what_is_right_is_let_in(studio: Serving) -> None:
    assert status_of(studio, "/") == 200
    assert status_of(studio, "/", Origin=studio.origin) == 200
    assert handshake(studio) == 101


def foreign_hosts(studio: Serving) -> list[str]:
    return [
        f"rebound.example:{studio.port}",
        f"localhost:{studio.port}",
        f"127.0.0.1:{studio.port + 1}",
        "127.0.0.1",
        f"127.0.0.1.:{studio.port}",
        f"127.0.0.1:{studio.port}.evil.example",
        f"user@127.0.0.1:{studio.port}",
        f"[::1]:{studio.port}",
        f"0.0.0.0:{studio.port}",
        f"2130706433:{studio.port}",
    ]


def foreign_origins(studio: Serving) -> list[str]:
    return [
        "null",
        "https://evil.example",
        f"https://{studio.authority}",
        f"http://localhost:{studio.port}",
        f"http://127.0.0.1:{studio.port + 1}",
        "http://127.0.0.1",
        f"{studio.origin}.evil.example",
        f"{studio.origin}/",
        f"{studio.origin}, https://evil.example",
        "file://",
    ]


def test_every_route_refuses_a_foreign_host(studio: Serving) -> None:
    for host in foreign_hosts(studio):
        assert status_of(studio, "/", Host=host) == 403, host
        assert handshake(studio, Host=host) == 403, host
    for path in paths(studio):
        assert status_of(studio, path, Host=f"rebound.example:{studio.port}") == 403, path


def test_every_route_refuses_a_foreign_origin(studio: Serving) -> None:
    for origin in foreign_origins(studio):
        assert status_of(studio, "/", Origin=origin) == 403, origin
        assert handshake(studio, Origin=origin) == 403, origin
    for path in paths(studio):
        for origin in ("null", "https://evil.example"):
            assert status_of(studio, path, Origin=origin) == 403, path


def test_refused_handshakes_leave_the_log_empty(studio: Serving, caplog: pytest.LogCaptureFixture) -> None:
    for wrong in ({"Origin": ""}, {"Origin": "https://evil.example"}, {"Cookie": ""}, {"Host": "evil.example"}):
        assert handshake(studio, **wrong) == 403
    time.sleep(0.2)  # what a server complains of comes after its answer
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_websocket_without_an_origin_is_refused(studio: Serving) -> None:
    assert handshake(studio, Origin="") == 403


def test_every_route_refuses_whoever_has_no_cookie(studio: Serving) -> None:
    right = studio.cookie
    wrong = ["", "other=1", right[:-1], right + "x", right.split("=")[0] + "=", right.replace("backquery", "b")]
    for cookie in wrong:
        assert status_of(studio, "/", Cookie=cookie) == 403, cookie
        assert handshake(studio, Cookie=cookie) == 403, cookie
    for path in [*paths(studio), "/nothing", "/page/../guard.py"]:
        assert status_of(studio, path, Cookie="") == 403, path


def test_every_route_refuses_other_methods(studio: Serving) -> None:
    for path in paths(studio):
        for method in METHODS:
            answer = studio.reply(path, method)
            assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD", (method, path)


def test_the_table_of_routes_is_the_pages_files_and_one_websocket(studio: Serving) -> None:
    assert set(paths(studio)) == {*page_files(), "/live"}
    assert [type(route) for route in build_app(studio.opened).routes].count(WebSocketRoute) == 1


def test_two_hosts_or_two_origins_are_refused(studio: Serving) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {studio.authority}\r\nCookie: {studio.cookie}\r\nConnection: close\r\n"
    assert studio.raw(head + "Host: evil.example\r\n\r\n").status in (400, 403)
    assert studio.raw(head + f"Origin: {studio.origin}\r\nOrigin: null\r\n\r\n").status == 403
    assert studio.reply("/", version="1.0", Host="").status == 403


def test_a_launch_link_lets_in_once(studio: Serving) -> None:
    link = studio.guard.link()
    first = studio.reply(link, Cookie="")
    assert first.status == 303 and first.headers["location"] == "/"
    parts = [part.strip().lower() for part in first.headers["set-cookie"].split(";")]
    assert {"httponly", "samesite=strict", "path=/"} <= set(parts)
    assert status_of(studio, link, Cookie="") == 403
    # Whoever has been let in may open the link again.
    assert status_of(studio, link, Cookie=first.headers["set-cookie"].split(";")[0]) == 303


def test_links_and_cookies_hold_more_than_128_random_bits(studio: Serving) -> None:
    tokens = {studio.guard.link().partition("token=")[2] for _ in range(50)}
    assert len(tokens) == 50
    for secret in (*tokens, studio.cookie.partition("=")[2]):
        assert re.fullmatch(r"[\w-]{43}", secret)  # 43 letters of 6 bits: 256 bits and two to spare


def test_a_token_is_taken_only_where_it_belongs(studio: Serving) -> None:
    link = studio.guard.link()
    token = link.partition("?")[2]
    for wrong in (f"/page/main.js?{token}", f"/live?{token}", "/?token=", "/?token=%00", "/?token=" + "x" * 43):
        assert status_of(studio, wrong, Cookie="") == 403
    assert studio.reply(link, "HEAD", Cookie="").status == 403
    assert status_of(studio, link, Cookie="", Origin="https://evil.example") == 403
    assert status_of(studio, link, Cookie="", Host="evil.example") == 403
    assert status_of(studio, link, Cookie="") == 303


def test_a_link_that_another_site_follows_still_brings_the_cookie(studio: Serving) -> None:
    """A strict cookie is not sent along a redirect that another site has begun: the page asks for itself anew."""
    answer = studio.reply(studio.guard.link(), Cookie="", Sec_Fetch_Site="cross-site")
    assert answer.status == 200 and answer.headers["refresh"] == "0; url=/"
    assert "httponly" in answer.headers["set-cookie"].lower()


def test_every_answer_has_a_strict_policy_and_no_cors(studio: Serving) -> None:
    assert POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    refused = [studio.reply("/", Cookie=""), studio.reply("/", "POST"), studio.reply("/", Host="evil.example")]
    given = [studio.reply(path) for path in (*page_files(), "/nothing")]
    for answer in refused + given:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers
    assert {answer.status for answer in given[:-1]} == {200} and given[-1].status == 404


def test_only_the_pages_own_files_are_served(studio: Serving) -> None:
    for path in (
        "/page/../guard.py",
        "/page/%2e%2e/guard.py",
        "/page/..%2fguard.py",
        "/page//etc/passwd",
        "/page/words/en.json/../../../guard.py",
        "/page/.hidden",
        "/words/../../guard.py",
        "//etc/passwd",
        "/page/main.js%00.css",
    ):
        assert status_of(studio, path) == 404, path


def test_the_page_brings_everything_itself(studio: Serving) -> None:
    """No address of another place, and no code or style within the markup, which the policy would forbid."""
    for place in page_files().values():
        text = place.read_text("utf-8")
        addresses = set(re.findall(r"""(?:https?|wss?)?://[\w.-]+""", text))
        assert addresses <= {"http://www.w3.org"}, place
    markup = page_files()["/"].read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", markup)


def closed(studio: Serving, frame: str | bytes) -> int | None:
    """The code with which the server closes after this frame; None where the line was cut before it was read."""
    with studio.talk() as talk:
        try:
            talk.socket.send(frame)
            while True:
                talk.socket.recv(10)
        except ConnectionClosed as ended:
            return ended.rcvd and ended.rcvd.code


def test_an_oversized_frame_ends_the_conversation(studio: Serving) -> None:
    assert closed(studio, "x" * (FRAME_LIMIT + 1)) in (1009, None)
    assert handshake(studio) == 101


def test_a_frame_that_promises_more_than_it_may_is_refused_before_it_has_come(studio: Serving) -> None:
    with opened_socket(studio) as line:
        line.sendall(struct.pack(">BBQ", 0x81, 0x80 | 127, 2**40) + b"abcd")
        answer = line.recv(65536)
        assert answer[0] & 0x0F == 0x8 and struct.unpack(">H", answer[2:4])[0] == 1009


def test_frames_that_are_no_requests_are_answered_or_end_the_conversation(studio: Serving) -> None:
    assert closed(studio, b"\x00\x01binary") == 1003
    with studio.talk() as talk:
        for frame in ("", "[]", "{", "[" * 50_000, '{"id": 1, "ask": "hello", "x": Infinity}'):
            talk.socket.send(frame)
            assert talk.receive()["code"] == "request"
        assert talk.ask("hello")["name"] == "digits"


def test_text_that_is_not_utf8_ends_the_conversation(studio: Serving) -> None:
    with opened_socket(studio) as line:
        line.sendall(b"\x81\x82\x00\x00\x00\x00\xff\xfe")
        answer = line.recv(65536)
        assert answer[0] & 0x0F == 0x8 and struct.unpack(">H", answer[2:4])[0] == 1007


def test_compressed_frames_are_not_agreed_to(studio: Serving) -> None:
    with studio.talk() as talk:
        assert talk.socket.protocol.extensions == []


@contextmanager
def opened_socket(studio: Serving) -> Iterator[socket.socket]:
    """A bare socket behind the handshake."""
    with socket.create_connection(("127.0.0.1", studio.port), 10) as line:
        request = (
            f"GET /live HTTP/1.1\r\nHost: {studio.authority}\r\nOrigin: {studio.origin}\r\n"
            f"Cookie: {studio.cookie}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        line.sendall(request.encode())
        assert b"101" in line.recv(65536)
        yield line


def png(width: int, height: int, content: bytes = b"") -> bytes:
    """A PNG file whose header says this size, whatever it holds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def test_a_picture_that_would_unpack_into_gigabytes_is_refused_by_its_header(studio: Serving) -> None:
    bomb = png(40_000, 40_000, zlib.compress(bytes(10**7), 9))
    clock = time.perf_counter()
    with studio.talk() as talk:
        for file in (bomb, png(4001, 4000), png(2**31 - 1, 1)):
            answer = talk.ask("image", file=base64(file))
            assert answer["code"] == "picture" and "pixels" in answer["error"], answer
    assert time.perf_counter() - clock < 5


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO"])
def test_pictures_of_other_kinds_are_not_decoded(studio: Serving, kind: str) -> None:
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    Image.new("L", (16, 16), 255).save(stream, kind)
    with studio.talk() as talk:
        assert talk.ask("image", file=base64(stream.getvalue()))["code"] == "picture"


def test_what_only_looks_like_a_picture_or_a_model_is_refused(
    studio: Serving, saved: bytes, tmp_path: Path
) -> None:
    owned = tmp_path / "owned"
    rng = np.random.default_rng(5)
    with studio.talk() as talk:
        for file in (b"", b"\x89PNG\r\n\x1a\n", png(10, 10), rng.bytes(1000), saved):
            assert talk.ask("image", file=base64(file))["code"] in ("picture", "data")
        pickled = b"\x80\x04cos\nsystem\n(S'touch %s'\ntR." % bytes(owned)
        zipped = b"PK\x03\x04" + rng.bytes(200)
        lying = struct.pack("<Q", 2**60) + b"{}"
        for file in (b"", saved[:1000], saved[:-8], rng.bytes(1000), pickled, zipped, lying, png(10, 10)):
            answer = talk.ask("load", file=base64(file), name="../../evil")
            assert answer["code"] == "model" and "/tmp" not in answer["error"], answer
        assert talk.ask("hello")["version"] == 0
    assert not owned.exists()


def test_training_is_bounded(studio: Serving) -> None:
    with studio.talk() as talk:
        for wrong in (
            {"hidden": 501},
            {"hidden": 0},
            {"hidden": 10.5},
            {"hidden": "10"},
            {"epochs": 21},
            {"epochs": 10**30},
            {"rate": 0},
            {"rate": -1},
            {"rate": 1e300},
            {"images": 10**9},
            {"images": -1},
            {"seed": -1},
            {"pace": 100},
            {"method": "__class__"},
            {"method": ["transpose"]},
        ):
            assert talk.ask("train", **wrong)["code"] == "request", wrong


def test_numbers_and_lists_of_any_size_are_answered(studio: Serving) -> None:
    with studio.talk() as talk:
        for ask, fields in [
            ("weights", {"count": 10**9}),
            ("weights", {"layer": 7}),
            ("weights", {"from": -1}),
            ("samples", {"count": 10**6}),
            ("samples", {"label": 10}),
            ("samples", {"label": "4"}),
            ("query", {"pixels": base64(bytes(10**6))}),
            ("query", {"pixels": "not base64!"}),
            ("query", {"pixels": 7}),
            ("query", {}),
            ("query", {"drawing": "", "rows": 2000, "columns": 2000}),
            ("query", {"drawing": base64(bytes(9)), "rows": 10**9, "columns": 10**9}),
            ("back", {"answers": [0.5] * 1000}),
            ("back", {"answers": [True] * 10}),
            ("back", {"confidences": {}}),
            ("back", {"confidences": {"-1": 0.5}}),
            ("back", {"confidences": {"9" * 5000: 0.5}}),
            ("back", {"confidences": {"1": "x"}}),
            ("back", {"label": -1}),
            ("back", {"label": 1, "warm": "yes"}),
            ("back", {"label": 1, "method": "os.system"}),
            ("damage", {"off": {"0": [1]}}),
            ("damage", {"off": {"2": [1]}}),
            ("damage", {"off": {"1": [20]}}),
            ("damage", {"off": {"1": [-1]}}),
            ("damage", {"off": {"1": [1.0]}}),
            ("damage", {"off": [1]}),
            ("load", {"file": "AAAA", "name": "x" * 10_000}),
            ("__init__", {}),
            ("close", {}),
        ]:
            answer = talk.ask(ask, **fields)
            assert answer["code"] == "request" and answer["error"], (ask, fields, answer)


def test_a_cut_connection_leaves_nothing_behind(studio: Serving) -> None:
    import threading

    def ours() -> int:
        return sum(thread.name.startswith("backquery-") for thread in threading.enumerate())

    before = ours()
    for _ in range(5):
        with opened_socket(studio) as line:
            line.sendall(masked(json.dumps({"id": 1, "ask": "train", "hidden": 500, "epochs": 20, "pace": 1.0})))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # cut, without goodbye
    wait_until(lambda: ours() <= before)
    with studio.talk() as talk:
        assert talk.ask("hello")["name"] == "digits"


def masked(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">BBH", 0x81, 0x80 | 126, len(content)) + bytes(4) + content


def wait_until(true: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_hundred_connections_do_not_keep_the_visitor_out(studio: Serving) -> None:
    """Idle lines are put up with; pages beyond the bound are told to come later, and places become free again."""
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", studio.port), 10))
        assert status_of(studio, "/") == 200
    cookie, refused, kept = studio.cookie, 0, []
    with ExitStack() as stack:
        for _ in range(100):
            headers = {"Cookie": cookie}
            page = connect(f"ws://{studio.authority}/live", origin=studio.origin, additional_headers=headers)  # type: ignore[arg-type]
            stack.enter_context(page)
            kept.append(page)
        for page in kept:
            try:
                page.send('{"id": 1, "ask": "hello"}')
                page.recv(10)
            except ConnectionClosed as ended:
                assert ended.rcvd is not None and ended.rcvd.code == 1013
                refused += 1
        assert refused == 100 - MOST_VISITS
        assert status_of(studio, "/") == 200
    wait_until(lambda: handshake(studio) == 101)
    with studio.talk() as talk:
        assert talk.ask("hello")["name"] == "digits"


def test_a_page_that_does_not_listen_slows_nobody_else(studio: Serving) -> None:
    with studio.talk() as deaf:
        for number in range(2000):
            deaf.send("scans", lane=f"{number % 60}", method="transpose")
        with studio.talk() as talk:
            clock = time.perf_counter()
            assert talk.ask("hello")["name"] == "digits"
            assert time.perf_counter() - clock < 5


def test_a_long_head_is_refused(studio: Serving) -> None:
    with socket.create_connection(("127.0.0.1", studio.port), 10) as line:
        line.settimeout(10)
        try:
            line.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 2**20)
            answered = line.recv(65536)
        except ConnectionError:
            answered = b""
    assert not answered or status(answered) >= 400
    assert status_of(studio, "/") == 200


def test_a_body_is_not_waited_for(studio: Serving) -> None:
    clock = time.perf_counter()
    for method, expected in (("POST", 405), ("GET", 200)):
        assert studio.reply("/", method, Content_Length=str(10**11)).status == expected
    assert time.perf_counter() - clock < 5


def test_hosts_are_written_as_browsers_write_them() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert authority_of(listener, "127.0.0.1") == f"127.0.0.1:{port}"
        assert authority_of(listener, "MyMachine.local") == f"mymachine.local:{port}"
        assert authority_of(listener, "0:0:0:0:0:0:0:1") == f"[::1]:{port}"


def test_the_studio_answers_to_one_address_alone() -> None:
    for every in ("0.0.0.0", "::", ""):
        with pytest.raises(BackqueryError, match="answers to one alone"):
            bind(every, 0)
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(BackqueryError, match="choose another port"):
            bind("127.0.0.1", listener.getsockname()[1])


def test_without_a_handshake_status_there_is_no_conversation(studio: Serving) -> None:
    with pytest.raises(InvalidStatus) as refused, studio.talk(Origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403
