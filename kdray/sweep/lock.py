"""One process goes on with a sweep at a time: who does holds its journal."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdray.errors import ConfigError, Problem

# What file systems say that have no locks, as Lustre is often mounted.
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Keeps other processes from going on with the same sweep inside the block.

    Args:
        file: The journal.

    Raises:
        ConfigError: If another process holds it.
    """
    with file.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = "is being run by another process; wait for it, or stop it first"
            raise ConfigError([Problem(str(file.parent), message)]) from None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
        yield


def is_held(file: Path) -> bool | None:
    """Returns whether a process goes on with a sweep, on any machine that locks for all.

    Args:
        file: The journal.

    Returns:
        None where it cannot be told: the file system has no locks, or the file is another user's.
    """
    if not file.exists():
        return False
    try:
        with file.open("r+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in (*WITHOUT_LOCKS, errno.EACCES, errno.EROFS):
            raise
        return None
    return False
