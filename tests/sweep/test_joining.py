"""Joining a cluster: real sockets, and the real head that all tests have, which wants a token."""

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import ray
from ray.exceptions import AuthenticationError, RaySystemError

from kdray.errors import ConfigError
from kdray.sweep import starting
from kdray.sweep.joining import joined_address, make_ready, send_token
from kdray.sweep.starting import start_ray
from tests.ray_head import free_port

VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user with a home of his own and no variable of Ray's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in VARIABLES:
        # Set first, so that what the tested code sets is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def open_head() -> Iterator[str]:
    """Address of a head that answers everyone."""

    class Answer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Answer()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def leave_token(home: Path) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("0123456789abcdef0123456789abcdef")


def test_a_cluster_is_joined_where_the_user_says_and_else_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert joined_address(None) is None
    assert joined_address("auto") == "auto"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert joined_address(None) == joined_address("auto") == "10.0.0.1:6379"
    assert joined_address("10.0.0.2:6379") == "10.0.0.2:6379"


@pytest.mark.parametrize("address", [None, "auto"])
def test_a_sweep_on_this_machine_leaves_the_token_to_ray(
    tmp_path: Path, address: str | None
) -> None:
    leave_token(tmp_path)
    make_ready(address)
    assert "RAY_AUTH_MODE" not in os.environ


def test_an_address_with_nothing_behind_it_is_told_at_once() -> None:
    begun = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=f"no Ray cluster at '{address}': .*refused; it takes "):
        make_ready(address)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("address", ["no.such.host.invalid:6379", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_is_told(address: str) -> None:
    with pytest.raises(ConfigError, match=f"--address: no Ray cluster at '{address}': "):
        make_ready(address)


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "http://10.0.0.1:8265"])
def test_an_address_of_another_kind_is_refused_with_the_right_form(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(ConfigError, match=f"no Ray cluster at '{address}': .*it takes HEAD:6379"):
        make_ready(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match="it takes HEAD:6379"):
        make_ready(None)


def test_the_variable_of_ray_is_looked_at_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match="refused"):
        make_ready(None)


@pytest.mark.ray
def test_a_cluster_that_wants_a_token_gets_the_one_that_is_there(
    cluster: None, tmp_path: Path
) -> None:
    leave_token(tmp_path)
    make_ready(ray.get_runtime_context().gcs_address)
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.ray
def test_a_cluster_that_wants_a_token_where_there_is_none_is_told_with_the_way_out(
    cluster: None,
) -> None:
    with pytest.raises(ConfigError, match=r"it wants its token; .*`ray get-auth-token` prints it"):
        make_ready(ray.get_runtime_context().gcs_address)


def test_a_cluster_that_wants_no_token_gets_none(open_head: str, tmp_path: Path) -> None:
    leave_token(tmp_path)
    make_ready(open_head)
    assert "RAY_AUTH_MODE" not in os.environ


def test_what_is_no_head_is_left_to_ray(tmp_path: Path) -> None:
    leave_token(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_answer, other)
            make_ready(f"127.0.0.1:{port}")
    assert "RAY_AUTH_MODE" not in os.environ


def _answer(server: socket.socket) -> None:
    """Answers two callers with words that are no protocol."""
    for _ in range(2):
        with server.accept()[0] as caller:
            caller.sendall(b"what?\n")


@pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_is_found_where_ray_looks_and_a_mode_that_was_set_stays(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert not send_token()
    monkeypatch.setenv(variable, "something")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert send_token()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


def refused(token: bool) -> Exception:
    """What Ray raises where its head says no, in the text of the error before."""
    cause = "ray.exceptions.AuthenticationError: RPC error" if token else "TimedOut"
    error = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    error.__cause__ = RuntimeError(f"Failed to connect to GCS. Last connection error: {cause}")
    return error


MISMATCH = (
    "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.9\n"
    "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11\n"
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AuthenticationError("no authentication token was found"), "`ray get-auth-token` prints"),
        (refused(token=True), "it wants its token; take it from the head"),
        (refused(token=False), "Failed to connect to Ray cluster at 10.0.0.1:6379; it takes HEAD:"),
        (RuntimeError(MISMATCH), "Ray: 2.9.0 Python: 3.9 .* Python: 3.11; install here what the"),
        (ValueError("Invalid address format: x"), "Invalid address format: x; it takes HEAD:6379"),
        (RaySystemError("System error: no\nmore"), "System error: no"),
        (RuntimeError(), "RuntimeError; it takes"),
    ],
)
def test_why_a_cluster_cannot_be_joined_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def init(**options: Any) -> None:
        raise error

    monkeypatch.setattr(starting.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(starting.ray, "init", init)
    with pytest.raises(ConfigError, match=f"no Ray cluster at '10.0.0.1:6379': .*{told}"):
        start_ray("10.0.0.1:6379")
    with pytest.raises(type(error)):
        start_ray(None)
