"""Warm start: the trials of earlier sweeps as Optuna's own, before a new sweep draws anything."""

from collections.abc import Callable

import optuna
from optuna.samplers import NSGAIISampler

from kdray.results.feasibility import violations
from kdray.schema import SweepConfig
from kdray.sweep.samplers import suggest
from kdray.warm_start import EarlierTrial, earlier_sweeps

WARM_START, LEARNT = "warm_start", "learnt"
# NSGA-II breeds from a generation; what has none it does not see.
FIRST_GENERATION = {NSGAIISampler._get_generation_key(): 0}


def learn(study: optuna.Study, config: SweepConfig, say: Callable[[str], None]) -> None:
    """Adds what `search.warm_start` has to teach to a study, once.

    The trials carry no id of this sweep: they are not counted, not done again and in no table.

    Args:
        study: The study.
        config: The sweep.
        say: Takes a line about each earlier sweep.

    Raises:
        ConfigError: What `earlier_sweeps` raises.
    """
    if LEARNT in study.user_attrs or not config.search.warm_start:
        return
    known = {trial.user_attrs.get(WARM_START) for trial in study.get_trials(deepcopy=False)}
    for sweep in earlier_sweeps(config):
        fresh = [trial for trial in sweep.trials if trial.name not in known]
        study.add_trials([as_optuna(trial, config) for trial in fresh])
        trials = f"{len(sweep.trials)} trial{'s' * (len(sweep.trials) != 1)}"
        rest = f", {sweep.left_out} left out" if sweep.left_out else ""
        say(f"warm start: learnt from {trials} of {sweep.folder}{rest}")
    study.set_user_attr(LEARNT, True)


def as_optuna(trial: EarlierTrial, config: SweepConfig) -> optuna.trial.FrozenTrial:
    """Returns an earlier trial as this sweep would have drawn it and told of it."""
    fixed = optuna.trial.FixedTrial(dict(trial.choices))
    config.draw(lambda name, path, domain: suggest(fixed, name, domain))
    return optuna.trial.create_trial(
        values=[trial.metrics[name] for name in config.objectives],
        params=fixed.params,
        distributions=fixed.distributions,
        constraints=violations(trial.metrics, config.constraints),
        user_attrs={WARM_START: trial.name},
        system_attrs=dict(FIRST_GENERATION),
    )
