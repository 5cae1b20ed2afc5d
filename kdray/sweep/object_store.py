"""Places in an object store: their URIs, how they are opened, and what is wrong with them."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import pyarrow.fs

from kdray.errors import ConfigError, Problem

T = TypeVar("T")
# The library itself tries for some seconds before it gives up.
_PAUSES = (2.0, 10.0, 60.0)
_CREDENTIALS = (
    "give credentials as AWS's own tools find them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "~/.aws, or the machine's role"
)
_REASONS = {
    "NO_SUCH_BUCKET": "there is no such bucket; make it first",
    "ACCESS_DENIED": f"access is denied; {_CREDENTIALS}",
    "INVALID_ACCESS_KEY_ID": f"the store does not know the access key; {_CREDENTIALS}",
    "SIGNATURE_DOES_NOT_MATCH": f"the secret key is wrong; {_CREDENTIALS}",
    "NETWORK_CONNECTION": "cannot be reached; look at the endpoint and the network",
}


@dataclass(frozen=True)
class Place:
    """Where something lies in a store.

    Attributes:
        system: The store.
        path: The path there, bucket first, without a slash at its end.
    """

    system: Any
    path: str


def is_uri(target: str) -> bool:
    """Returns whether an output is a URI and not a folder."""
    return "://" in target


def child(uri: str, name: str) -> str:
    """Returns the URI of what is called `name` in the folder that a URI names."""
    before, mark, query = uri.partition("?")
    return f"{before.rstrip('/')}/{quote(name, safe='')}{mark}{query}"


def last_name(uri: str) -> str:
    """Returns what the folder that a URI names is called."""
    return unquote(uri.partition("?")[0].rstrip("/").rpartition("/")[2])


def mirror_root(uri: str) -> Path:
    """Returns the folder on this machine that mirrors a place, in the user's cache.

    Places with the same parent lie side by side, as in the store.
    """
    before, _, query = uri.partition("?")
    parent = f"{before.rstrip('/').rpartition('/')[0]}?{query}"
    key = hashlib.sha256(parent.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "kdray" / f"{urlsplit(uri).hostname}-{key}" / last_name(uri)


@lru_cache(maxsize=32)
def place(uri: str) -> Place:
    """Returns the place that a URI names; nothing is asked of the store but its region.

    Raises:
        ConfigError: If it names none.
    """
    parts = urlsplit(uri)
    if parts.username or parts.password or "secret_key" in parts.query:
        raise _wrong(uri.replace(parts.netloc, "…"), f"must hold no credentials; {_CREDENTIALS}")
    if not parts.hostname or parts.scheme == "file":
        raise _wrong(uri, "must name a bucket: s3://BUCKET/PATH, or be a folder")
    try:
        system, path = pyarrow.fs.FileSystem.from_uri(uri)
    except (OSError, ValueError) as error:
        raise _wrong(uri, reason(error)) from None
    return Place(system, path.rstrip("/"))


def check(uri: str, writable: bool) -> None:
    """Asks the store for a place.

    Args:
        uri: The place; it need not be there yet, but its bucket must.
        writable: Whether something is written there, and taken away again.

    Raises:
        ConfigError: If the store cannot be reached, has no such bucket, or lets nobody in.
    """
    at = place(uri)
    try:
        bucket = at.system.get_file_info(at.path.partition("/")[0])
        if bucket.type == pyarrow.fs.FileType.NotFound:
            raise _wrong(uri, _REASONS["NO_SUCH_BUCKET"])
        if writable:
            probe = f"{at.path}/.kdray"
            with at.system.open_output_stream(probe) as stream:
                stream.write(b"kdray looks whether it may write here\n")
            at.system.delete_file(probe)
    except OSError as error:
        raise _wrong(uri, reason(error)) from None


def insisting(action: Callable[[], T]) -> T:
    """Does what may fail because the store is away for a minute, and returns what it returns.

    Raises:
        OSError: If the store stays away, or at once if something is not there.
    """
    for pause in _PAUSES:
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(pause)
    return action()


def reason(error: Exception) -> str:
    """Returns in one line why a store does not do what it is asked."""
    told = next((text for code, text in _REASONS.items() if f"AWS Error {code} " in str(error)), "")
    first = str(error).splitlines()[0]
    return f"{told} ({first})" if told else first


def _wrong(uri: str, message: str) -> ConfigError:
    return ConfigError([Problem("output", f"{uri}: {message}")])
