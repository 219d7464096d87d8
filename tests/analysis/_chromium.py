"""
A headless Chromium, asked over its own pipe: what a page says, does, asks for and looks like.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

from typing import Any


PROGRAM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
_SWITCHES = [
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--mute-audio",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
]
_LONGEST_S = 60


class Browser:
    """
    A browser with one page.

    Args:
        folder: An empty directory for its profile.

    Attributes:
        said: What pages wrote to the console, and errors that they did not catch.
        asked: The address of each request.
        refused: Those of them that the page's own policy did not allow.
    """

    def __init__(self, folder: Any) -> None:
        assert PROGRAM is not None
        self.said: list[str] = []
        self.asked: list[str] = []
        self.refused: list[str] = []
        self._addresses: dict[str, str] = {}
        self._number = 0
        self._loaded = False
        self._buffer = b""
        self._answers: dict[int, dict[str, Any]] = {}
        theirs_in, self._write = os.pipe()
        self._read, theirs_out = os.pipe()
        words = [PROGRAM, *_SWITCHES, f"--user-data-dir={folder}", "about:blank"]
        # a program is told of pipes by their numbers: 3 and 4
        theirs = [_moved(theirs_in), _moved(theirs_out)]
        script = 'exec "$@" 3<&{0} 4>&{1} {0}<&- {1}>&-'.format(*theirs)
        with open(os.path.join(folder, "stderr"), "wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script, "-", *words],
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for descriptor in theirs:
            os.close(descriptor)
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Load a page, and wait until all of it is there."""
        self.said, self.asked, self.refused, self._loaded = [], [], [], False
        self.call("Page.navigate", url=address)
        until = time.monotonic() + _LONGEST_S
        while not self._loaded:
            self._take(until)

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives on the page."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def screen(
        self, width: int, *, is_dark: bool = False, media: str = "", height: int = 800
    ) -> None:
        """Give the page another screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def without_scripts(self, is_off: bool = True) -> None:
        """Turn JavaScript off for the pages that are opened from now on."""
        self.call("Emulation.setScriptExecutionDisabled", value=is_off)

    def picture(self) -> bytes:
        """Return the whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(found["data"])

    def printed(self) -> bytes:
        """Return the page as a PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + _LONGEST_S
        while self._number not in self._answers:
            self._take(until)
        answer = self._answers.pop(self._number)
        assert "error" not in answer, (method, answer["error"])
        found: dict[str, Any] = answer["result"]
        return found

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError):
            os.close(self._write)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def _take(self, until: float) -> None:
        """Wait for the next messages."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
        data = os.read(self._read, 1 << 20) if ready else b""
        assert data, "the browser does not answer"
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
            self._addresses[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self.refused.append(self._addresses[params["requestId"]])
        elif method == "Log.entryAdded":
            self.said.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.said.append(json.dumps(params["args"]))


def _moved(descriptor: int) -> int:
    """A descriptor that is in nobody's way."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return moved
