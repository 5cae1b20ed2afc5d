"""Workers that are forked, not started: where that can be done, and how Ray is told."""

import atexit
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from kdray.sweep.joining import joined_address

# What workers need to know before they start.
VARIABLES = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    # Without it a trial that was given no GPU sees, and takes, the first of the machine.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # Of a trial that is stopped the thread ends when it has freed its memory; a worker whose thread
    # takes longer is given up, and Ray tells nobody that its next trial has failed.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
}
# What trial workers import, and nothing that imports Ray.
_MODULES = (
    "kdray.trial",
    "kdray.trial_folder",
    "transformers.modeling_utils",
    "pyarrow.fs",
    "jsonschema",
)
# A process that was forked after its parent has looked for a GPU cannot use one.
_GPUS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))


def warm_up(address: str | None) -> None:
    """Lets what workers need be imported from now on, if Ray will be started on this machine.

    Args:
        address: A Ray cluster's address; None starts Ray on this machine.
    """
    if joined_address(address) is None:
        forking_python()


@cache
def forking_python() -> str | None:
    """Returns the command that forks workers from one process, which is started if it is not yet.

    Returns:
        What Ray takes for `py_executable`; None where workers must be started, each a Python: with
        a GPU, and on other systems than Linux.
    """
    if sys.platform != "linux" or any(device.exists() for device in _GPUS):
        return None
    folder = tempfile.mkdtemp(prefix="kdray-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = str(Path(folder) / "workers")
    try:
        _start_server(address)
    except OSError:  # the path is too long for a socket's, or no process can be started
        return None
    worker = Path(__file__).with_name("forked_worker.py")
    return shlex.join([sys.executable, "-I", "-S", str(worker), sys.executable, address])


def _start_server(address: str) -> None:
    """Starts the process that workers are forked from; it ends with this one, however that ends."""
    # Its modules are those that this process would import, wherever that was started.
    code = f"import sys; sys.path[:] = {sys.path!r}; import kdray.sweep.fork_server as server; "
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        descriptor = listening.fileno()
        server = subprocess.Popen(
            [sys.executable, "-c", f"{code}server.main(sys.argv[1:])", str(descriptor), *_MODULES],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,  # Ctrl-C is not meant for it
            # As Ray has it for workers: threads are what each trial is given.
            env={"OMP_NUM_THREADS": "1", **os.environ, **VARIABLES},
        )
    atexit.register(server.kill)
