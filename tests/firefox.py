"""Firefox as Debian has it, driven by WebDriver BiDi: https://w3c.github.io/webdriver-bidi."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.needs import firefox, needs

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

SETTINGS = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
LONGEST_ANSWER = 120.0


class Firefox:
    """One window of it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.requests: list[str] = []
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["network.beforeRequestSent"])
        self._window = self.command("browsingContext.create", type="tab")["context"]

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command; what happens meanwhile is noted."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(LONGEST_ANSWER))
            if message["type"] == "event":
                self.requests.append(message["params"]["request"]["url"])
            elif message.get("id") == self._last:
                assert message["type"] == "success", message
                result: dict[str, Any] = message["result"]
                return result

    def before_pages(self, script: str) -> None:
        """Run a script before those of each page."""
        self.command("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}")

    def go(self, file: Path) -> None:
        self.command("browsingContext.navigate", context=self._window, url=file.as_uri(), wait="complete")

    def evaluate(self, function: str, *values: Any) -> Any:
        """What a function of the page gives for plain values; it may be a promise of plain values."""
        text = f"({function})(...{json.dumps(values)})"
        found = self.command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await {text}) ?? 'null')()",
            target={"context": self._window},
            awaitPromise=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def picture(self) -> bytes:
        """What the window shows, as a PNG."""
        from base64 import b64decode

        return b64decode(self.command("browsingContext.captureScreenshot", context=self._window)["data"])


@contextmanager
def browsing() -> Iterator[Firefox]:
    """A browser without a window on the screen, with a profile of its own."""
    needs("websockets", "Firefox")
    from websockets.sync.client import connect

    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f'user_pref("{name}", {json.dumps(value)});\n' for name, value in SETTINGS.items()]
        Path(profile, "user.js").write_text("".join(lines), "utf-8")
        command = [
            str(firefox()),
            "--headless",
            "--no-remote",
            "--profile",
            profile,
            "--remote-debugging-port",
            "0",
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            try:
                with connect(f"{_address(process)}/session", max_size=2**28) as socket:
                    yield Firefox(socket)
            finally:
                process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    """Where it listens, which it says among other things."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError("Firefox ended before it listened")
