"""A way to a server that can be shut in no time; starting a real one again takes seconds."""

import contextlib
import socket
import threading


class Door:
    """Passes connections on to a port of this machine while it is open; refuses them when shut.

    Attributes:
        port: Where it listens; the same each time that it is opened.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listening: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self.port = self._listening.getsockname()[1]
            threading.Thread(target=self._accept, args=[self._listening], daemon=True).start()

    def shut(self) -> None:
        """Cuts every connection, also one that is in use."""
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
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
