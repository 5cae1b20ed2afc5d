"""What Ray starts in place of a Python for a worker: it has the worker forked, and waits for it.

    python -I -S forked_worker.py PYTHON SOCKET SCRIPT ARGUMENT...

It imports next to nothing, so that it is there at once. Where nothing is forked, the server being
gone or the machine full, it becomes the Python that Ray would have started.
"""

import json
import os
import socket
import sys


def fork(address: str, argv: list[str]) -> socket.socket | None:
    """Has a worker forked that runs a script with this process's streams, variables and folder.

    Returns:
        A connection that ends with the worker; None if there is no worker.
    """
    asked = {"argv": argv, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109  # no pathlib: it takes as long as all the rest
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
        text = json.dumps(asked).encode()
        sent = socket.send_fds(connection, [text], [0, 1, 2])
        connection.sendall(text[sent:])
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1):
            return connection
    except OSError:
        pass
    connection.close()
    return None


def main() -> None:
    """Waits for a forked worker to end, or becomes one."""
    python, address, *argv = sys.argv[1:]
    worker = fork(address, argv)
    if worker is None:
        os.execv(python, [python, *argv])
    worker.recv(1)


if __name__ == "__main__":
    main()
