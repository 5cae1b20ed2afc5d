"""What stops a sweep."""

import os
import signal
from collections.abc import Callable

import pytest

from kdray.sweep.tuning import stopped_alike


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_stops_a_sweep_also_where_ctrl_c_is_ignored(
    ctrl_c: Callable[..., object] | signal.Handlers,
) -> None:
    before, terminated = signal.signal(signal.SIGINT, ctrl_c), signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt), stopped_alike():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == terminated
        assert signal.getsignal(signal.SIGINT) == ctrl_c
    finally:
        signal.signal(signal.SIGINT, before)
