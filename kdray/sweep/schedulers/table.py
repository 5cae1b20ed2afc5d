"""The one table of the rules by which a trial is stopped early."""

from collections.abc import Callable
from typing import Any

from kdray.config.search import Median, ParetoAsha
from kdray.config.validation import Section
from kdray.sweep.schedulers import median, pareto_asha
from kdray.sweep.schedulers.history import Criteria, History

# From a rule's own options, the criteria, every trial's reports and a trial's id to whether that
# trial is stopped after its last report.
Rule = Callable[[Any, Criteria, History, str], bool]

# `fifo` is not here: it stops no trial.
RULES: dict[type[Section], Rule] = {Median: median.stops, ParetoAsha: pareto_asha.stops}
