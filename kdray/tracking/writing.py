"""The thread that writes to MLflow: in order, and again and again while the store is away."""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import chain, repeat

# Seconds between tries of a task that fails although the store answers; then it is left out.
_TRIES_S = (1.0, 2.0, 4.0, 8.0)
# Seconds between questions to a store that does not answer, as often as it takes.
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
# Codes below 500 that pass: another sweep made the experiment first, a proxy lacks its server.
_PASSING = {
    "RESOURCE_ALREADY_EXISTS",
    "ENDPOINT_NOT_FOUND",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "RESOURCE_CONFLICT",
    "ABORTED",
    "CANCELLED",
}

Task = Callable[[], object]


def is_refused(error: Exception) -> bool:
    """Returns whether MLflow will never take what it was told, so that no other try is made."""
    from mlflow.exceptions import MlflowException

    return (
        isinstance(error, MlflowException)
        and 400 <= error.get_http_status_code() < 500
        and error.error_code not in _PASSING
    )


class Writer:
    """Does tasks one after the other in a thread of its own; who gives them never waits.

    A task may be done more than once, so it must change nothing when it is done again.
    """

    def __init__(self, answers: Callable[[], bool], patience_s: float) -> None:
        """Starts the thread.

        Args:
            answers: Whether the store answers just now.
            patience_s: How long `wait` waits while nothing can be written.
        """
        self._answers = answers
        self._patience_s = patience_s
        self._tasks: deque[Task] = deque()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._fails = self._gave_up = False
        self._went_on = time.monotonic()
        self.refusal: str | None = None
        # A daemon: a call that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def do(self, task: Task) -> None:
        """Has a task done after all that were given before."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def wait(self) -> bool:
        """Waits until every task is done, or nothing could be written for too long.

        Returns:
            Whether every task is done.
        """
        start = time.monotonic()
        with self._changed:
            while self._tasks and not self._too_long(start):
                self._changed.wait(0.2)
            self._gave_up = bool(self._tasks)
            return not self._tasks

    def stop(self, wait_s: float = 5) -> None:
        """Ends the thread, and waits for it so long; tasks that are not done are left."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=wait_s)

    def _too_long(self, start: float) -> bool:
        since = max(start, self._went_on)
        return self._fails and (self._gave_up or time.monotonic() - since > self._patience_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._changed:
                self._changed.wait_for(lambda: bool(self._tasks) or self._stopped.is_set())
            if self._tasks and not self._stopped.is_set() and self._try(self._tasks[0]):
                with self._changed:
                    self._tasks.popleft()
                    self._changed.notify_all()

    def _try(self, task: Task) -> bool:
        """Does a task, or tells why it cannot be done; returns False if stopped before that."""
        for pause in (*_TRIES_S, None):
            try:
                task()
            except Exception as error:  # any store, any network: the sweep goes on
                if pause is None or is_refused(error):
                    self._tell(error)
                    return True
                self._fails = True
                self._stopped.wait(pause)
                self._until_it_answers()
            else:
                self._go_on()
                return True
            if self._stopped.is_set():
                return False
        return True

    def _until_it_answers(self) -> None:
        for waited, pause in enumerate(chain(_PAUSES_S, repeat(_PAUSES_S[-1]))):
            if self._stopped.is_set():
                return
            if self._answers():
                if waited:  # else it was there all the time, and the task alone fails
                    self._go_on()
                return
            self._stopped.wait(pause)

    def _go_on(self) -> None:
        self._fails = self._gave_up = False
        self._went_on = time.monotonic()

    def _tell(self, error: Exception) -> None:
        if self.refusal is None:
            reason = str(error).strip().splitlines()
            self.refusal = reason[0] if reason else type(error).__name__
