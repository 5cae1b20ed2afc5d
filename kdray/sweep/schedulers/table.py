"""The one table of the rules by which a trial is stopped early."""

from collections.abc import Callable

from kdray.config.search import Median, ParetoAsha
from kdray.config.validation import Section
from kdray.sweep.schedulers import median, pareto_asha
from kdray.sweep.schedulers.rivals import Rivals, Verdict

# From all trials and the id of one to what becomes of that one after its last report.
Rule = Callable[[Rivals, str], Verdict]

# `fifo` is not here: it stops no trial.
RULES: dict[type[Section], Rule] = {Median: median.judge, ParetoAsha: pareto_asha.judge}
