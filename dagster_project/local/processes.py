"""Child processes that end with us: each in a session of its own, stopped by its process group."""

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

logger = logging.getLogger(__name__)


class ProcessFailedError(RuntimeError):
    """A child process ended or stayed silent before it was ready; the text holds the end of its log."""


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def log_tail(self, n_characters: int = 1500) -> str:
        return self.log.read_text(errors="replace")[-n_characters:] if self.log.exists() else ""


@dataclass
class Supervisor:
    """Starts children and ends them all on exit, whatever the reason for it."""

    logs: Path
    # dagster's daemon needs about 3 s to end its children
    grace_s: float = 12
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Child:
        """Start `command` with its output in `<logs>/<name>.log`."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name=name, process=process, log=log)
        self.children.append(child)
        return child

    def start_server(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> str:
        """Start a server that prints one JSON line `{"url": ...}` when it is ready; returns the URL."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        child = Child(name=name, process=process, log=log)
        self.children.append(child)
        return _announced_url(child, timeout_s)

    def wait_until_ready(self, child: Child, url: str, *, timeout_s: float = 90) -> None:
        """Wait until `url` answers. Raises ProcessFailedError when the child ends first or time runs out."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if child.process.poll() is not None:
                break
            try:
                with urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
                    return
            except URLError as error:
                # an answer with an error status is an answer
                if getattr(error, "code", None):
                    return
                time.sleep(0.2)
            except OSError:
                time.sleep(0.2)
        raise ProcessFailedError(f"{child.name} did not become ready at {url}. The end of its log:\n{child.log_tail()}")

    def ended(self) -> Child | None:
        """The first child that is no longer running."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self) -> None:
        """Interrupt every child's process group, then kill what is left after the grace period."""
        for child in self.children:
            _signal_group(child.process.pid, signal.SIGINT)
        end = time.monotonic() + self.grace_s
        for child in self.children:
            try:
                child.process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("%s did not stop in %.0f s and is killed", child.name, self.grace_s)
            # the leader may be gone while grandchildren of its group live on
            _signal_group(child.process.pid, signal.SIGKILL)
            child.process.wait()
            if child.process.stdout:
                child.process.stdout.close()
        self.children.clear()


def free_port(preferred: int) -> int:
    """`preferred` if nobody has it on 127.0.0.1, else any free port."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ProcessFailedError("No free port was found on 127.0.0.1.")


def _announced_url(child: Child, timeout_s: float) -> str:
    assert child.process.stdout is not None  # noqa: S101 - opened as a pipe above
    with selectors.DefaultSelector() as selector:
        selector.register(child.process.stdout, selectors.EVENT_READ)
        if selector.select(timeout_s):
            line = child.process.stdout.readline()
            if line:
                return str(json.loads(line)["url"])
    raise ProcessFailedError(f"{child.name} did not announce its address. The end of its log:\n{child.log_tail()}")


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
    except PermissionError:
        # macOS answers so for a group whose members are all zombies
        return
