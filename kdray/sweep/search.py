"""The search: Ray Tune asks here for configurations, Optuna draws them define-by-run.

Ray's own OptunaSearch tells Optuna the last report of a trial, calls a stopped trial complete, and
saves its state with pickle. Here Optuna is told what is on disk (the selected epoch's values,
PRUNED for a trial stopped early, FAIL for a failed one), and its journal is the only state.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain, islice
from typing import Any

import optuna
from optuna.storages import JournalStorage
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from kdray.changes import study_differences
from kdray.config.domains import Domain, grid_values, samples
from kdray.config.drawing import enumerate_grid, flatten
from kdray.errors import ConfigError
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, options_taken
from kdray.sweep.journal import Journal
from kdray.sweep.not_pickled import NotPickled
from kdray.sweep.reconciling import TRIAL_ID, first_choices, reconcile, tell
from kdray.sweep.samplers import make_sampler, suggest
from kdray.sweep.time_budget import TimeBudget

SPACE = "space"


def open_study(config: SweepConfig, folder: SweepFolder, seed: int) -> optuna.Study:
    """Returns the sweep's study, kept in a journal in its folder."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        study_name="sweep",
        storage=JournalStorage(Journal(folder.optuna_log)),
        sampler=make_sampler(config.search, seed, len(config.objectives)),
        directions=list(config.objectives.values()),
        load_if_exists=True,
    )


def begin(study: optuna.Study, config: SweepConfig, folder: SweepFolder) -> int:
    """Enqueues what was cut off, and what a sweep tries first as far as it is not there yet.

    Returns:
        How many trials the sweep has: `search.trials`, fewer if a grid has fewer combinations, or
        as many as there are points with nothing but points.

    Raises:
        ConfigError: If the study was begun with another space.
    """
    _check_space(study, config, folder)
    reconcile(study, config, folder)
    first = _first_choices(config)
    for choices in _not_there(study, first):
        study.enqueue_trial(choices)
    sampler = config.search.sampler.name
    if sampler == "none":
        return max(1, len(first))
    return min(config.search.trials, len(first)) if sampler == "grid" else config.search.trials


def _check_space(study: optuna.Study, config: SweepConfig, folder: SweepFolder) -> None:
    began = study.user_attrs.get(SPACE)
    if began is None:
        study.set_user_attr(SPACE, json.loads(json.dumps(dict(config.content), default=str)))
        return
    problems = study_differences(began, config)
    if problems:
        head = f"{folder.sweep_yaml} was changed since the sweep began (put it back), and"
        raise ConfigError(problems, head)


def _first_choices(config: SweepConfig) -> list[dict[str, Any]]:
    points = [point_choices(config, point) for point in config.search.points]
    if config.search.sampler.name != "grid":
        return points
    grid = (drawn.choices for drawn in enumerate_grid(config.space, options_taken))
    rest = (choices for choices in grid if choices not in points)
    return list(islice(chain(points, rest), config.search.trials))


def _not_there(study: optuna.Study, first: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what no trial was begun or enqueued for; what stands twice has two trials."""
    there = Counter(frozenset(choices.items()) for choices in first_choices(study))
    missing = []
    for choices in first:
        key = frozenset(choices.items())
        if there[key]:
            there[key] -= 1
        else:
            missing.append(choices)
    return missing


def point_choices(config: SweepConfig, point: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one of `search.points` by the sampler's names; what it leaves open is not in it."""
    values = flatten(dict(point))
    given: dict[str, Any] = {}

    def choose(name: str, path: str, domain: Domain) -> Any:
        if path in values:
            given[name] = values[path]
            return values[path]
        return (grid_values(domain) or samples(domain))[0]

    config.draw(choose)
    return given


class StudySearch(NotPickled, OptunaSearch):  # type: ignore[misc]  # ray has no types
    """Ray Tune's side of an Optuna study.

    Args:
        study: Draws.
        config: The sweep.
        folder: Its folder.
        samples: How many configurations Ray Tune asks for; -1: until there are no more.

    Attributes:
        halted: Why no more trials are begun; None if they are.
        exhausted: Whether there is nothing left to run; only told where trials wait.
        budget: The time for it, which begins with the search.
    """

    def __init__(
        self, study: optuna.Study, config: SweepConfig, folder: SweepFolder, samples: int = -1
    ) -> None:
        modes = {"maximize": "max", "minimize": "min"}
        super().__init__(
            metric=list(config.objectives), mode=[modes[d] for d in config.objectives.values()]
        )
        self._ot_study = study
        self.config = config
        self.folder = folder
        given = [trial.user_attrs.get(TRIAL_ID) for trial in study.get_trials(deepcopy=False)]
        given += [result.trial_id for result in folder.results()]
        self.samples = samples
        self.halted: str | None = None
        self.exhausted = False
        self.budget = TimeBudget.from_now(config.search.time_budget_s)
        self._next = 1 + max((int(own_id) for own_id in given if own_id is not None), default=-1)

    def halt(self, reason: str) -> None:
        """Begins no more trials; those that run come to their end."""
        self.halted = self.halted or reason

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns the next configuration, with kdray's own id of the trial."""
        if self.halted or self.budget.is_over():
            return str(Searcher.FINISHED)
        trial = self._ot_study.ask()
        self._ot_trials[trial_id] = trial
        return self._drawn(trial)

    def _drawn(self, trial: optuna.Trial) -> dict[str, Any]:
        drawn = self.config.draw(lambda name, path, domain: suggest(trial, name, domain))
        own_id = trial.user_attrs.get(TRIAL_ID)
        if own_id is None:
            own_id, self._next = f"{self._next:04d}", self._next + 1
            trial.set_user_attr(TRIAL_ID, own_id)
        return {
            TRIAL_ID: own_id,
            "sections": drawn.sections,
            "parameters": drawn.parameters,
        }

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Does nothing: Optuna takes no intermediate values with several objectives."""

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells Optuna how the trial ended, as it stands on disk."""
        trial = self._ot_trials[trial_id]
        found = self.folder.result(trial.user_attrs[TRIAL_ID])
        tell(self._ot_study, trial.number, found, self.config)

    def waiting(self) -> Collection[str]:
        """Returns the own ids of the trials that wait to go on; here none does."""
        return ()

    def stopped(self, own_id: str) -> None:
        """Tells Optuna of a trial that was stopped while it waited."""
        raise NotImplementedError(f"trial {own_id} cannot have waited")

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the study's journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: see `save`."""
