"""What comes before a cluster is joined, and before Ray is imported: it then reads its settings."""

import os
import socket
from pathlib import Path

from kdray.errors import ConfigError, Problem

TOKEN = (
    "take it from the head, where `ray get-auth-token` prints it, and put it into "
    "~/.ray/auth_token, RAY_AUTH_TOKEN, or a file that RAY_AUTH_TOKEN_PATH names"
)
ADDRESS = "it takes HEAD:6379, where Ray listens on the head, or on the cluster `auto`"
WANTS_TOKEN = f"it wants its token; {TOKEN}"
_PATIENCE_S = 5.0


def joined_address(address: str | None) -> str | None:
    """Returns where a cluster is joined, `auto` for that of this machine; None for nowhere."""
    given = None if address == "auto" else address
    return given or os.environ.get("RAY_ADDRESS") or address or None


def make_ready(address: str | None) -> None:
    """Looks whether a cluster is there to be joined, and lets Ray send its token if it wants one.

    Raises:
        ConfigError: If nothing listens at the address, where Ray itself would wait for minutes, it
            is one of another kind, or the cluster wants a token and there is none.
    """
    joined = joined_address(address)
    if joined is not None and "://" in joined:
        raise no_cluster(joined, f"a sweep drives the cluster from inside; {ADDRESS}")
    host, _, port = (joined or "").rpartition(":")
    if joined is None or not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise no_cluster(
            joined, f"{getattr(error, 'strerror', None) or error}; {ADDRESS}"
        ) from None
    if _wants_token(joined) and not send_token():
        raise no_cluster(joined, WANTS_TOKEN)


def send_token() -> bool:
    """Lets Ray send the token that is where it looks for one, as it does not by itself.

    Returns:
        Whether there is one.
    """
    places = [os.environ.get("RAY_AUTH_TOKEN"), os.environ.get("RAY_AUTH_TOKEN_PATH")]
    found = any(places) or (Path.home() / ".ray" / "auth_token").is_file()
    if found:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    return found


def no_cluster(address: str, reason: str) -> ConfigError:
    """Returns what tells that a cluster cannot be joined at an address, and why."""
    return ConfigError([Problem("--address", f"no Ray cluster at {address!r}: {reason}")])


def _wants_token(address: str) -> bool:
    """Returns whether a cluster has no answer without a token.

    One that runs without must not be sent any: its workers could not talk to the driver then.
    """
    import grpc  # type: ignore[import-untyped]  # of ray[default]

    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            ask(b"", timeout=_PATIENCE_S)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False
