"""Ray's client of the job API, with a limit to its patience and errors that a user can act on."""

import logging
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from kdray.errors import ConfigError, Problem
from kdray.sweep.joining import TOKEN

# Seconds to connect, and to wait for the next bytes of an answer.
_TIMEOUT_S = (10, 120)


class LostError(Exception):
    """The dashboard did not answer; the job goes on."""


class FailedError(LostError):
    """The dashboard answered that something went wrong on its side."""


class JobClient(JobSubmissionClient):  # type: ignore[misc]  # ray has no types
    """What a job is sent, followed and fetched with.

    Ray's own client waits for ever for an answer, and raises what its libraries raise.
    """

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        try:
            return super()._do_request(method, endpoint, timeout=_TIMEOUT_S, **options)
        except AuthenticationError as error:
            raise ConfigError([_no_token(self._address, error)]) from None
        except OSError as error:  # of requests, all of them
            raise LostError(_reason(error)) from None

    def _raise_error(self, r: Any) -> None:
        """Raises for an answer that says no; what a server says that restarts may pass."""
        reason = r.text.strip().splitlines()[-1] if r.text.strip() else "no reason given"
        if r.status_code >= 500:
            raise (FailedError if r.status_code == 500 else LostError)(f"{r.status_code}: {reason}")
        raise ConfigError([Problem(self._address, f"answered {r.status_code}: {reason}")])


def connect(address: str) -> JobClient:
    """Returns a client of the cluster at a dashboard's address.

    Raises:
        ConfigError: If there is no dashboard, or it does not take the token.
    """
    for name in ("dashboard_sdk", "job.sdk"):
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
    logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.WARNING)
    try:
        return JobClient(address)
    except AuthenticationError as error:
        raise ConfigError([_no_token(address, error)]) from None
    except (LostError, OSError, RuntimeError, ValueError, KeyError) as error:
        message = (
            f"no Ray dashboard at {address!r}: {_reason(error)}; it takes the address of the "
            "head's dashboard, such as http://HEAD:8265"
        )
        raise ConfigError([Problem("--address", message)]) from None


def _no_token(address: str, error: AuthenticationError) -> Problem:
    reason = error.message.strip().splitlines()[0].rstrip(".")
    return Problem("--address", f"{address} wants its token ({reason}); {TOKEN}")


def _reason(error: Exception) -> str:
    """Returns the innermost cause, which the errors of requests wrap three times."""
    inner: Any = error
    while reason := getattr(inner, "reason", None) or next(
        (item for item in inner.args if isinstance(item, Exception)), None
    ):
        if not isinstance(reason, Exception):
            break
        inner = reason
    return str(inner).strip().splitlines()[-1] if str(inner).strip() else type(inner).__name__
