"""Reconciling: the study is made to agree with the trial folders, which alone know what finished.

A trial has one own id and perhaps several Optuna trials, its attempts: of what was cut off one is
left as FAIL and another enqueued. At most one of them is COMPLETE or PRUNED.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from kdray.config.replaying import replay
from kdray.errors import ConfigError
from kdray.evaluation.metrics import fixed_bounds
from kdray.results.feasibility import Bounds, violations
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult
from kdray.schema import SweepConfig, options_taken
from kdray.sweep.samplers import suggest
from kdray.sweep.stopped_values import WORTH, worth
from kdray.sweep.warm_start import FIRST_GENERATION, WARM_START
from kdray.trial_folder import load_setup

TRIAL_ID = "trial_id"
# Where Optuna keeps what `enqueue_trial` was given.
_FIXED = "fixed_params"
_TOLD = (TrialState.COMPLETE, TrialState.PRUNED)


def reconcile(study: optuna.Study, config: SweepConfig, folder: SweepFolder) -> None:
    """Makes the study agree with the trial folders, before a sweep begins or goes on.

    Every result is told once, whenever it was written; what was cut off is marked FAIL and
    enqueued again under its own id.
    """
    mark_cut_off(study, config, folder)
    # Not before: what was marked FAIL may have finished since.
    results = {result.trial_id: result for result in folder.results()}
    attempts = _attempts(study)
    for own_id, result in results.items():
        _settle(study, config, folder, result, attempts.get(own_id, []))
    for own_id in sorted(attempts.keys() - results.keys()):
        if all(trial.state != TrialState.WAITING for trial in attempts[own_id]):
            study.enqueue_trial(_choices(attempts[own_id]), user_attrs={TRIAL_ID: own_id})


def mark_cut_off(study: optuna.Study, config: SweepConfig, folder: SweepFolder) -> None:
    """Tells Optuna of what Ray no longer runs, so that nothing is left RUNNING.

    What finished while Ray was stopping is told as it stands on disk; the rest is marked FAIL, and
    a resume enqueues it.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        own_id = trial.user_attrs.get(TRIAL_ID)
        found = folder.result(own_id) if own_id is not None else None
        tell(study, trial.number, found, config)


def tell(study: optuna.Study, number: int, result: TrialResult | None, config: SweepConfig) -> None:
    """Tells Optuna how a trial ended: COMPLETE with values, PRUNED, or FAIL without a result."""
    if result is not None:
        _constrain(study, number, result, config)
    if result is not None and result.status == "completed":
        study.tell(number, [result.metrics[name] for name in config.objectives])
    elif result is not None and result.status == "stopped_early":
        for name, value in _worth(result, config).items():
            _trial(study, number).set_user_attr(name, value)
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, state=TrialState.FAIL)


def claimed(study: optuna.Study, wanted: Callable[[str], bool]) -> Iterator[optuna.Trial]:
    """Yields what is enqueued of some own ids, RUNNING from now on, whatever else is enqueued.

    Args:
        study: The sweep's.
        wanted: Tells an own id that is.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        own_id = trial.user_attrs.get(TRIAL_ID)
        if own_id is not None and wanted(own_id):
            study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
            yield _trial(study, trial.number)


def tell_worth(
    study: optuna.Study, number: int, metrics: Mapping[str, float], config: SweepConfig
) -> None:
    """Tells Optuna what a trial is worth that waits to go on; it stays RUNNING.

    Where bounds depend on its training samplers do without: what Optuna was told of a bound stays.

    Args:
        study: The sweep's.
        number: The trial's, in the study.
        metrics: Those of its best epoch so far.
        config: The sweep.
    """
    if config.constraints != fixed_bounds(config.constraints):
        return
    result = TrialResult("", "stopped_early", metrics=metrics)
    _constrain(study, number, result, config)
    for name, value in _worth(result, config).items():
        _trial(study, number).set_user_attr(name, value)


def first_choices(study: optuna.Study) -> Iterator[Mapping[str, Any]]:
    """Yields what each trial of the sweep was begun or enqueued with, one for all attempts.

    Not in it are earlier sweeps' trials, and those that a crash cut off while they were drawn:
    they have no id, and nothing of them is done again.
    """
    seen = set()
    for trial in study.get_trials(deepcopy=False):
        own_id = trial.user_attrs.get(TRIAL_ID)
        lost = own_id is None and trial.state == TrialState.FAIL
        if WARM_START not in trial.user_attrs and not lost and own_id not in seen:
            yield trial.system_attrs.get(_FIXED, trial.params)
        if own_id is not None:
            seen.add(own_id)


def _attempts(study: optuna.Study) -> dict[str, list[FrozenTrial]]:
    """Returns the Optuna trials of each own id, oldest first."""
    attempts: dict[str, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        if TRIAL_ID in trial.user_attrs:
            attempts.setdefault(trial.user_attrs[TRIAL_ID], []).append(trial)
    return attempts


def _choices(attempts: Sequence[FrozenTrial]) -> dict[str, Any]:
    """Returns all that a trial was to be drawn with; a last attempt may be cut off in drawing."""
    choices: dict[str, Any] = {}
    for trial in attempts:
        choices |= trial.system_attrs.get(_FIXED, {}) | trial.params
    return choices


def _settle(
    study: optuna.Study,
    config: SweepConfig,
    folder: SweepFolder,
    result: TrialResult,
    attempts: Sequence[FrozenTrial],
) -> None:
    """Lets no attempt of a finished trial wait, and adds what Optuna was not told."""
    for trial in attempts:
        if trial.state == TrialState.WAITING:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    if any(trial.state in _TOLD for trial in attempts) or not _can_be_told(result, config):
        return
    own_id = result.trial_id
    choices = _choices(attempts) if attempts else _choices_on_disk(config, folder, own_id)
    if choices is not None:
        study.add_trial(_as_told(result, choices, config))


def _can_be_told(result: TrialResult, config: SweepConfig) -> bool:
    values = [result.metrics.get(name, math.nan) for name in config.objectives]
    completed = result.status == "completed" and all(map(math.isfinite, values))
    return completed or result.status == "stopped_early"


def _choices_on_disk(
    config: SweepConfig, folder: SweepFolder, trial_id: str
) -> dict[str, Any] | None:
    """Returns what a trial unknown to Optuna was drawn with; None if not from this space."""
    try:
        sections = load_setup(folder, trial_id).sections
    except ConfigError:
        return None
    drawn, differing = replay(config.space, sections, options_taken)
    return None if differing else drawn.choices


def _as_told(result: TrialResult, choices: Mapping[str, Any], config: SweepConfig) -> FrozenTrial:
    """Returns a trial as if Optuna had been told of its result at once."""
    fixed = optuna.trial.FixedTrial(dict(choices))
    config.draw(lambda name, path, domain: suggest(fixed, name, domain))
    completed = result.status == "completed"
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if completed else TrialState.PRUNED,
        values=[result.metrics[name] for name in config.objectives] if completed else None,
        params=fixed.params,
        distributions=fixed.distributions,
        constraints=violations(result.metrics, _bounds(result, config)),
        user_attrs={TRIAL_ID: result.trial_id} | ({} if completed else _worth(result, config)),
        system_attrs=dict(FIRST_GENERATION),
    )


def _constrain(study: optuna.Study, number: int, result: TrialResult, config: SweepConfig) -> None:
    """Tells Optuna how far a trial is from the bounds; what a crash left half told is completed."""
    bounds = _bounds(result, config)
    if not bounds:
        return
    trial = _trial(study, number)
    told = trial.constraints
    for name, violation in violations(result.metrics, bounds).items():
        if name not in told:
            trial.set_constraint(name, violation)


def _trial(study: optuna.Study, number: int) -> optuna.Trial:
    # A trial of before a crash has no object of its own any more, only its place in the journal.
    key = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    return optuna.Trial(study, key)


def _worth(result: TrialResult, config: SweepConfig) -> dict[str, list[float]]:
    # With a bound that is not known yet, samplers would see a trial with fewer bounds than others.
    found = worth(result.metrics, list(config.objectives))
    known = config.constraints.keys() <= result.metrics.keys()
    return {WORTH: found} if found is not None and known else {}


def _bounds(result: TrialResult, config: SweepConfig) -> Bounds:
    """Returns the bounds that a trial is held to; if it did not complete, where that is known."""
    return {
        metric: sides
        for metric, sides in config.constraints.items()
        if result.status == "completed" or metric in result.metrics
    }
