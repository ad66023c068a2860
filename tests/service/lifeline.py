"""Processes that end with the one that started them, however that ends: SIGTERM and kill -9 run no clean-up."""

import shutil
from collections.abc import Sequence


def on_a_lifeline(command: Sequence[str]) -> list[str]:
    """The command as the kernel kills it when the starting thread is gone (Linux; elsewhere as it is)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else list(command)
