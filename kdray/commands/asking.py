"""An interview in a terminal: what flags do not say is asked, and asked again until it is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console

from kdray.errors import ConfigError

# From a question and what is proposed to an answer.
Ask = Callable[[str, str], str]
Read = TypeVar("Read")


@dataclass(frozen=True)
class Interview:
    """Where answers are from.

    Attributes:
        ask: Asks a person; None: what is proposed is taken.
    """

    ask: Ask | None

    def answer(
        self, wish: str | None, question: str, proposal: str, read: Callable[[str], Read]
    ) -> Read:
        """Returns what an answer means.

        Args:
            wish: What a flag says; None: nothing.
            question: What is asked else.
            proposal: What is proposed.
            read: From an answer to what it means.

        Raises:
            ConfigError: If what a flag says, or what is proposed, is wrong.
        """
        if wish is not None or self.ask is None:
            return read(proposal if wish is None else wish)
        while True:
            try:
                return read(self.ask(question, proposal).strip())
            except ConfigError as error:
                for problem in error.problems:
                    said = problem.message if problem.where.startswith("--") else str(problem)
                    Console().print(said, markup=False, highlight=False, soft_wrap=True)
