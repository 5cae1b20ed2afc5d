"""The process that Ray's workers on this machine are forked from, with their imports done.

A worker that starts as a Python of its own spends seconds of a core on importing torch and
transformers, each worker again. A fork has them at once, and shares their memory. Ray is never
imported here: it reads its settings when it is, and they differ from worker to worker.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

FORKED = b"f"
_STANDARD_STREAMS = (0, 1, 2)


@dataclass(frozen=True)
class Asked:
    """What a worker is to be, as `forked_worker.py` asks for it.

    Attributes:
        connection: Open for as long as the worker lives, so that who asked knows.
        streams: Descriptors of its standard input, output and error.
        argv: Path of its script, and its arguments.
        environment: Its environment variables.
        folder: Its working directory.
    """

    connection: socket.socket
    streams: Sequence[int]
    argv: list[str]
    environment: dict[str, str]
    folder: str

    @classmethod
    def read(cls, connection: socket.socket) -> "Asked":
        """Returns what is asked for over a connection."""
        text, streams, _, _ = socket.recv_fds(connection, 1 << 16, len(_STANDARD_STREAMS))
        while more := connection.recv(1 << 16):
            text += more
        return cls(connection, streams, **json.loads(text))

    def close(self) -> None:
        """Closes in this process what is the worker's."""
        self.connection.close()
        for stream in self.streams:
            os.close(stream)


def serve(descriptor: int, modules: Sequence[str]) -> None:
    """Imports modules, and forks workers until standard input ends with who holds its other end.

    Args:
        descriptor: Of a listening Unix socket.
        modules: What workers need. One that cannot be imported is left to them.
    """
    with socket.socket(fileno=descriptor) as listening:
        for name in modules:
            with suppress(Exception):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()  # a collection in a worker would write to, and so copy, all that is shared
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody need wait for workers
        asked = _forked(listening)
    if asked is not None:
        _become(asked)


def _forked(listening: socket.socket) -> Asked | None:
    """Forks whenever it is asked to; returns in each worker what it is to be, here None."""
    with DefaultSelector() as selector:
        selector.register(listening, EVENT_READ)
        selector.register(sys.stdin, EVENT_READ)
        while not any(key.fileobj is sys.stdin for key, _ in selector.select()):
            connection, _ = listening.accept()
            try:
                asked = Asked.read(connection)
            except (OSError, ValueError):  # who asked was ended before it had said all
                connection.close()
                continue
            with suppress(OSError):  # no process can be forked, and who asked sees nothing come
                if os.fork() == 0:
                    return asked
                connection.send(FORKED)
            asked.close()
    return None


def _become(asked: Asked) -> None:
    """Goes on as the worker: its script is run as if this process had been started for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # Ray ends a worker's whole process group
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.environment)
    for target, stream in zip(_STANDARD_STREAMS, asked.streams, strict=True):
        os.dup2(stream, target)
        os.close(stream)
    sys.argv[:] = asked.argv
    sys.path.insert(0, str(Path(asked.argv[0]).parent))
    runpy.run_path(asked.argv[0], run_name="__main__")


def main(arguments: Sequence[str]) -> None:
    """Serves; see there."""
    serve(int(arguments[0]), arguments[1:])
