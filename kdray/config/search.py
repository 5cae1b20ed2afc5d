"""The `search` section of a search-space file: samplers, schedulers, and how long to search."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kdray.config.validation import Section


class Tpe(Section):
    """Tree-structured Parzen estimator, for several objectives (Ozaki et al., 2022)."""

    name: Literal["tpe"] = "tpe"
    startup_trials: int | None = Field(
        None, ge=1, description="Random trials first; null: a third of the trials, 4 to 10."
    )


class Nsga2(Section):
    """Non-dominated sorting genetic algorithm (Deb et al., 2002)."""

    name: Literal["nsga2"] = "nsga2"
    population_size: int = Field(10, ge=2, description="Trials a generation.")


class Gp(Section):
    """Gaussian process with expected hypervolume improvement."""

    name: Literal["gp"] = "gp"
    startup_trials: int = Field(6, ge=1, description="Random trials first.")


class RandomSearch(Section):
    """Independent draws."""

    name: Literal["random"] = "random"


class Grid(Section):
    """Every combination once; continuous domains are refused."""

    name: Literal["grid"] = "grid"


class PointsOnly(Section):
    """Nothing but `search.points`."""

    name: Literal["none"] = "none"


Sampler = Annotated[
    Tpe | Nsga2 | Gp | RandomSearch | Grid | PointsOnly, Field(discriminator="name")
]


class Fifo(Section):
    """Every trial runs to its end."""

    name: Literal["fifo"] = "fifo"


class Median(Section):
    """Stops a trial that the median of the others beats, and that beats it in no objective."""

    name: Literal["median"] = "median"
    grace_epochs: int = Field(
        1, ge=1, description="No trial is stopped before this epoch of its last generation."
    )
    startup_trials: int = Field(5, ge=1, description="Trials that reached an epoch first.")


class ParetoAsha(Section):
    """Asynchronous successive halving over several objectives (Schmucker et al., 2021).

    Trials wait at rungs, with a checkpoint each; the best one in η of those seen there go on.
    """

    name: Literal["pareto_asha"] = "pareto_asha"
    first_rung: int = Field(
        1, ge=1, description="Epochs of the last generation before the first comparison, r."
    )
    reduction_factor: float = Field(
        3, gt=1, description="One in this many goes on, η; rungs are at r, r·η, r·η² … epochs."
    )


Scheduler = Annotated[Fifo | Median | ParetoAsha, Field(discriminator="name")]


class Search(Section):
    """How the space is searched."""

    trials: int = Field(24, ge=1, description="Trials in all; a grid or points may be fewer.")
    sampler: Sampler = Field(
        default_factory=Tpe,
        description="tpe, nsga2, gp, random, grid or none, or a mapping with options.",
    )
    scheduler: Scheduler = Field(
        default_factory=Fifo, description="fifo, median or pareto_asha, or a mapping with options."
    )
    time_budget_s: float | None = Field(
        None,
        gt=0,
        description="No new trials after that, and those that run stop after their epoch; a resume "
        "goes on with them, and counts anew.",
    )
    trial_timeout_s: float | None = Field(
        None,
        gt=0,
        description="A trial that takes longer is ended and failed; counted anew when it goes on.",
    )
    max_failures: int = Field(
        1, ge=0, description="How often a trial is tried again after what may pass, as a lost node."
    )
    checkpoint_interval_s: float = Field(
        60.0, ge=0, description="Least time between two checkpoints of a trial; 0: each epoch."
    )
    points: list[dict[str, Any]] = Field(
        default_factory=list, description="Configurations to try first."
    )
    warm_start: list[str] = Field(
        default_factory=list, description="Folders of earlier sweeps of the same space."
    )
    keep: Literal["front", "all", "none"] = Field("front", description="Whose weights are kept.")

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        named = {key: value[key] for key in ("sampler", "scheduler") if key in value}
        return value | {k: {"name": v} for k, v in named.items() if isinstance(v, str)}
