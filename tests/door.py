"""A way to a server that can be shut in no time; starting a real one again takes seconds."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Door:
    """Passes connections on to a port of this machine while it is open; refuses them when shut.

    Attributes:
        port: Where it listens; the same each time that it is opened.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self.port = 0
        self.open()

    @property
    def address(self) -> str:
        """What a browser would be given."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        with self._lock:
            if self._listening is None:
                self._listening = socket.create_server(("127.0.0.1", self.port))
                self.port = self._listening.getsockname()[1]
                _begin(self._accept, self._listening)

    def shut(self) -> None:
        """Cuts every connection, also one that is in use or that is being made."""
        with self._lock:
            if self._listening is not None:
                for end in (self._listening, *self._ends):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                    end.close()
                self._listening, self._ends = None, []

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was shut
            while True:
                near, _ = listening.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to_port))
                except OSError:  # nobody behind it
                    near.close()
                else:
                    self._join(listening, near, far)

    def _join(self, listening: socket.socket, near: socket.socket, far: socket.socket) -> None:
        with self._lock:
            if self._listening is not listening:  # it was shut while this connection was made
                near.close()
                far.close()
                return
            self._ends += [near, far]
        _begin(_pass_on, near, far)
        _begin(_pass_on, far, near)


def _begin(work: Callable[..., None], *arguments: socket.socket) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
