"""The widget in a real kernel: what is asked over its channel is answered there, with the same frames."""

# ruff: noqa: E402 (what an extra brings is imported once it is known to be there)

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backquery.studio.files import PAGE, page_parts
from tests.needs import needs
from tests.studio.conftest import unpack

needs("anywidget", "ipykernel", "jupyter_client")

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel


class Front:
    """What a notebook's front end does: it runs a cell, and talks with the widget that the cell has made."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell; what it sent besides its output."""
        number = self.client.execute(code)
        reply = self.client.get_shell_msg(timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]
        sent = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == number:
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    return sent
                sent.append(message)

    def send(self, comm: str, content: dict[str, Any]) -> None:
        data = {"comm_id": comm, "data": {"method": "custom", "content": content}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", data))

    def receive(self, view: str) -> dict[str, Any]:
        """The next answer to a view."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=60)
            content = message["content"].get("data", {}).get("content", {})
            if message["msg_type"] == "comm_msg" and content.get("view") == view:
                return unpack(bytes(message["buffers"][0]))
        raise AssertionError("no answer")


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    manager, client = start_new_kernel()
    yield Front(client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_widget_answers_each_of_its_views(front: Front, saved: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(saved)
    model = str(tmp_path / "mine.safetensors")
    sent = front.run(f"from backquery.studio.notebook import Studio\nstudio = Studio({model!r}, 'digits')\nstudio")
    (opened,) = (m for m in sent if m["msg_type"] == "comm_open" and "_parts" in m["content"]["data"]["state"])
    shown = next(message for message in sent if message["msg_type"] == "execute_result")
    assert "application/vnd.jupyter.widget-view+json" in shown["content"]["data"]
    assert opened["content"]["data"]["state"]["_parts"] == page_parts()
    comm = opened["content"]["comm_id"]
    front.send(comm, {"view": "one", "ask": json.dumps({"id": 1, "ask": "hello"})})
    assert front.receive("one")["name"] == "mine.safetensors"
    front.send(comm, {"view": "one", "ask": json.dumps({"id": 2, "ask": "damage", "off": {"1": [3]}})})
    front.send(comm, {"view": "other", "ask": json.dumps({"id": 7, "ask": "back", "label": 4})})
    answer = front.receive("other")
    while answer["ask"] != "back":
        answer = front.receive("other")
    assert answer["id"] == 7 and answer["read"] == 4 and answer["ink"].shape == (8, 8) and answer["version"] == 0
    front.send(comm, {"view": "one", "close": True})
    front.run(
        "assert list(studio._visits) == ['other'], studio._visits\nstudio.close()\nassert not studio._visits"
    )


def test_the_parts_are_the_whole_page() -> None:
    parts = page_parts()
    assert set(parts["modules"]) == {path.name for path in PAGE.glob("*.js")}  # type: ignore[call-overload]
    assert str(parts["markup"]).startswith('<div class="studio">') and "<script" not in str(parts["markup"])
    assert set(parts["words"]) == {"en", "ru", "zh"}  # type: ignore[call-overload]
    styles = {path.read_text("utf-8") for path in PAGE.glob("*.css")}
    assert all(style in str(parts["styles"]) for style in styles)


def test_mistakes_are_told_where_they_are_made(tmp_path: Path) -> None:
    from backquery.errors import DataError, ModelError
    from backquery.studio.notebook import Studio

    with pytest.raises(ModelError):
        Studio(tmp_path / "no.safetensors")
    with pytest.raises(DataError):
        Studio("mnist", "no data of this name")
