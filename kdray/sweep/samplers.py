"""From `search.sampler` to Optuna's sampler."""

import math
import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
)

from kdray.config.domains import Choice, Domain
from kdray.config.drawing import Drawn
from kdray.config.search import Gp, Nsga2, Search, Tpe
from kdray.schema import SweepConfig
from kdray.sweep.forgetting import BEST
from kdray.sweep.grouped_tpe import GroupedTpe
from kdray.sweep.stopped_values import LearningSampler


def make_sampler(search: Search, seed: int, objectives: int) -> BaseSampler:
    """Returns the sampler; grid and points only draw nothing, but need one for what is left.

    Args:
        search: Names it, with its options.
        seed: Of what it draws.
        objectives: How many there are.
    """
    options = search.sampler
    if isinstance(options, Tpe):
        startup = options.startup_trials or min(10, max(4, search.trials // 3))
        forgotten, most = set[int](), 25 if objectives == 1 else BEST
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            warnings.simplefilter("ignore", FutureWarning)  # gamma is to go with Optuna 6
            tpe = GroupedTpe(
                n_startup_trials=startup,
                seed=seed,
                # Drawn together: good and bad are told apart once a trial, not once a parameter.
                multivariate=True,
                # As Optuna counts good trials, the forgotten included, none of which is good.
                gamma=lambda seen: min(most, math.ceil((seen + len(forgotten)) / 10)),
            )
        return LearningSampler(tpe, forgotten)
    if isinstance(options, Nsga2):
        return NSGAIISampler(population_size=options.population_size, seed=seed)
    if isinstance(options, Gp):
        return LearningSampler(GPSampler(n_startup_trials=options.startup_trials, seed=seed))
    return RandomSampler(seed=seed)


def suggest(trial: optuna.trial.BaseTrial, name: str, domain: Domain) -> object:
    """Returns a trial's value for a domain."""
    if isinstance(domain, Choice):
        return trial.suggest_categorical(name, domain.labels)
    if domain.integer:
        return trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def draw_one(config: SweepConfig) -> Drawn:
    """Returns one configuration at random, the same for the same seed, without a sweep."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(sampler=RandomSampler(seed=config.seed)).ask()
    return config.draw(lambda name, path, domain: suggest(trial, name, domain))
