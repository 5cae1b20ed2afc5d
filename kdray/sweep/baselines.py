"""Label-only baselines: each student of the front once more, without its teacher.

Same shape, pruning, training and seed, so the difference is the teacher's doing. They are no
trials: the search does not know them, and they lie in `baselines/` under the ids of their trials.
"""

from collections.abc import Callable
from dataclasses import replace

from kdray.reporting.summary import front_ids
from kdray.results.records import TrialResult
from kdray.schema import DEFAULTS, SweepConfig, options_taken
from kdray.sweep.beside import Queue
from kdray.sweep.resources import Slot
from kdray.sweep.trainable import Shared
from kdray.sweep.tuning import stopped_alike
from kdray.trial_folder import TrialSetup, load_setup


def run_baselines(
    config: SweepConfig, shared: Shared, slot: Slot, begun: float, say: Callable[[str], None]
) -> bool:
    """Runs what is missing beside the front, one run for each distinct configuration.

    Nothing that happens to a baseline ends the sweep: one that fails is on disk with its reason.

    Args:
        config: The sweep.
        shared: What every trial gets.
        slot: Resources of a trial, and how many run side by side at most.
        begun: When the search began, in seconds of `time.monotonic`; `search.time_budget_s` counts
            from there.
        say: Takes a line about what is done.

    Returns:
        Whether nobody has stopped it; if not, a resume goes on with it.
    """
    missing = _missing(config, shared) if config.evaluation.baselines else []
    if not missing:
        return True
    baselines = replace(shared, folder=shared.folder.baselines, keep_weights=False, rungs=None)
    budget = config.search.time_budget_s
    deadline = None if budget is None else begun + budget

    def tell(result: TrialResult) -> None:
        say(f"baseline of trial {result.trial_id}: {_ended(result, shared.selection_metric)}")

    queue = Queue(config.search, baselines, slot, tell, deadline)
    if queue.is_late():
        say("baselines: none, as search.time_budget_s is over")
        return True
    count = f"{len(missing)} student{'s' * (len(missing) != 1)} of the front"
    say(f"baselines: {count} once more, from labels alone")
    try:
        with stopped_alike():
            left = queue.work_through(missing)
    except KeyboardInterrupt:
        return False
    if left and queue.is_late():
        say("baselines: the rest is left out, as search.time_budget_s is over")
    return True


def twin(setup: TrialSetup) -> TrialSetup | None:
    """Returns a trial without its teacher, in one generation; None for one that has none."""
    own = setup.sections["distillation"]
    taken = options_taken("distillation", "none") or frozenset()
    if own["method"] == "none":
        return None
    alone = {key: value for key, value in own.items() if key in taken} | {"method": "none"}
    taught = ("distillation.", "regime.")
    parameters = {k: v for k, v in setup.parameters.items() if not k.startswith(taught)}
    return replace(
        setup,
        sections={**setup.sections, "distillation": alone, "regime": DEFAULTS["regime"]},
        parameters=parameters | {"distillation.method": "none"},
    )


def _missing(config: SweepConfig, shared: Shared) -> list[TrialSetup]:
    folder = shared.folder
    front = front_ids(folder.results(), config.objectives, config.constraints)
    wanted = [i for i in front if folder.baselines.result(i) is None]
    twins = [twin(load_setup(folder, trial_id)) for trial_id in wanted]
    return [replace(one, threads=shared.threads) for one in twins if one is not None]


def _ended(result: TrialResult, metric: str) -> str:
    if result.status == "completed":
        return f"{metric} {result.metrics[metric]:.3f} without the teacher"
    return f"failed: {result.stage}: {result.error}"
