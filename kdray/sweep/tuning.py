"""The part of a sweep that Ray Tune runs: trials, until they are done or someone stops them."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import ConcurrencyLimiter

from kdray.sweep.ahead import Ahead
from kdray.sweep.bookkeeping import Bookkeeping
from kdray.sweep.growth import Growth
from kdray.sweep.not_pickled import NotPickled
from kdray.sweep.resources import Slot
from kdray.sweep.schedulers.early_stopping import EarlyStopping
from kdray.sweep.schedulers.in_time import InTime
from kdray.sweep.schedulers.rivals import Rivals
from kdray.sweep.search import StudySearch
from kdray.sweep.starting import quiet_ray
from kdray.sweep.trainable import Shared, sweep_trial
from kdray.sweep.watchdog import Watchdog


def tune_trials(
    searcher: StudySearch, shared: Shared, slot: Slot, books: Bookkeeping, rivals: Rivals | None
) -> None:
    """Runs trials until they are done, the time is over, the search halts, or Ctrl-C.

    Args:
        searcher: Where configurations come from.
        shared: What every trial gets.
        slot: Resources of a trial, and how many run side by side at most.
        books: Takes what happens.
        rivals: All trials; None if none is stopped early.
    """
    if not searcher.samples:
        return
    quiet_ray()
    scheduler = _scheduler(searcher, slot, books, rivals)
    limiter = ConcurrencyLimiter(searcher, slot.concurrent)
    if searcher.budget.deadline is not None:
        shared = replace(shared, deadline=searcher.budget.deadline)
    with tempfile.TemporaryDirectory(prefix="kdray-tune-") as scratch, stopped_alike():
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(sweep_trial, shared=shared),
                {"cpu": slot.cpus, "gpu": slot.gpus},
            ),
            tune_config=tune.TuneConfig(
                search_alg=limiter,
                scheduler=scheduler,
                num_samples=searcher.samples,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=searcher.folder.name,
                storage_path=scratch,
                verbose=0,
                callbacks=[books, *_companions(searcher, limiter, slot)],
                failure_config=tune.FailureConfig(max_failures=searcher.config.search.max_failures),
            ),
        ).fit()
    if isinstance(scheduler, EarlyStopping) and searcher.exhausted and not searcher.halted:
        scheduler.stop_waiting()


class Unheard(NotPickled, TrialProgressCallback):  # type: ignore[misc]  # ray has no types
    """Takes the place of Tune's own, which prints a trial that ends unreported, however quiet."""

    def _print(self, msg: str) -> None:
        """Prints nothing."""


def _scheduler(
    searcher: StudySearch, slot: Slot, books: Bookkeeping, rivals: Rivals | None
) -> InTime:
    def stopped(trial_id: str) -> None:
        searcher.stopped(trial_id)
        books.stopped(trial_id)

    if rivals is None:
        return InTime(searcher.budget)
    return EarlyStopping(rivals, searcher.folder, slot.threads, stopped, searcher.budget)


def _companions(
    searcher: StudySearch, limiter: ConcurrencyLimiter, slot: Slot
) -> Iterator[tune.Callback]:
    """Yields what a sweep needs beside its books, such as more slots as nodes join."""
    yield Unheard()
    if searcher.samples > 0:
        yield Ahead(max(0, searcher.samples - slot.concurrent))
    if slot.may_grow:
        yield Growth(limiter, slot)
    timeout = searcher.config.search.trial_timeout_s
    if timeout is not None:
        yield Watchdog(timeout, searcher.folder, slot.threads)


@contextmanager
def stopped_alike() -> Iterator[None]:
    """Lets SIGTERM, as a cluster's scheduler sends it, stop a sweep as Ctrl-C does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(*_: object) -> None:
    # A script's background process ignores Ctrl-C, which is not meant for it; SIGTERM is.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
