"""A sweep that is done, written once more into its runs: its report, and what other seeds say."""

from collections.abc import Mapping

from kdray.errors import ConfigError
from kdray.results.folder import SweepFolder
from kdray.tracking.connecting import connect, read_config
from kdray.tracking.ending import reports, store_files
from kdray.tracking.news import News, measured, write_news
from kdray.tracking.place import find_place
from kdray.tracking.runs import TrialRuns


def store_again(folder: SweepFolder, trials: Mapping[str, Mapping[str, float]]) -> str:
    """Stores report and tables in the parent run, in place of those that are there.

    Args:
        folder: The sweep's folder.
        trials: Metrics to add to the runs of trials.

    Returns:
        Why that could not be done, in a line; empty if it was, or the sweep is not recorded.
    """
    if not folder.tracking_json.is_file():
        return ""
    try:
        place = find_place(folder)
        return _store(TrialRuns(connect(place.uri), place, folder), folder, trials)
    except ConfigError as error:
        return str(error.problems[0])
    except Exception as error:  # any store, any network: the report itself is written
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return f"{place.uri}: {reason[0]}"


def _store(runs: TrialRuns, folder: SweepFolder, trials: Mapping[str, Mapping[str, float]]) -> str:
    artifacts = runs.client.get_run(runs.place.parent).info.artifact_uri
    here = folder.root.parent.resolve().as_uri()
    own = (read_config(folder).get("tracking") or {}).get("uri") is None
    if own and artifacts.startswith("file:") and not artifacts.startswith(f"{here}/"):
        return f"this is a copy of a sweep that is recorded in {artifacts.removeprefix('file://')}"
    store_files(runs, reports(folder), set())
    runs.find()
    for trial_id in trials.keys() & runs.ids.keys():
        news = News(metrics=measured(trials[trial_id], 0))
        write_news(runs.client, runs.ids[trial_id], news)
    return ""
