"""What comes to the studio last: the server's own messages, frames beyond all bounds, parts that are not there."""

# ruff: noqa: E402 (what an extra brings is imported once it is known to be there)

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needs

needs("starlette")

from backquery.studio.app import _file
from backquery.studio.guard import Guard
from backquery.studio.protocol import FRAME_LIMIT, RequestError, decode


def test_the_server_s_own_messages_pass_the_guard() -> None:
    heard: list[str] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        heard.append(scope["type"])

    asyncio.run(Guard(app, "127.0.0.1:8000")({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert heard == ["lifespan"]


def test_a_frame_beyond_the_limit_is_not_taken_apart() -> None:
    with pytest.raises(
        RequestError, match=f"a request may have {FRAME_LIMIT} characters; received {FRAME_LIMIT + 1}"
    ):
        decode(" " * (FRAME_LIMIT + 1))


def test_a_part_of_the_page_that_is_missing_says_so(tmp_path: Path) -> None:
    answer = asyncio.run(_file(tmp_path / "gone.js")(None))  # type: ignore[arg-type]
    assert answer.status_code == 404
    assert b"this part of the page is missing; install backquery anew" in bytes(answer.body)
