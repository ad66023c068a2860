"""What can go wrong with a function that a request brings."""

from delivery.errors import DeliveryError
from delivery.urls import masked, shown


class PythonNotAllowed(DeliveryError):
    """A request brings Python code and the operator has not allowed that."""

    hint = (
        "an operator allows it with allow_python=True (command line: --allow-python); "
        "or write the selection for codegen 'uproot'"
    )

    def sentence(self) -> str:
        """What was wrong."""
        return "codegen 'python' runs code that the request brings, and that is not allowed here"


class UserCodeFailed(DeliveryError):
    """The function could not be read, raised, or gave back what cannot be delivered.

    ``text`` is its source, ``line`` the line of it (from 1) where it went wrong, if that is known; ``printed`` are the
    last lines that it printed.
    """

    file: str

    def __init__(self, file: str, reason: str, text: str = "", line: int | None = None, printed: str = "") -> None:
        self.file, self.reason, self.text, self.line, self.printed = shown(file), reason, masked(text), line, printed
        super().__init__(self.file, reason, self.text, line, printed)
        lines = self.text.splitlines(keepends=True)
        if line is not None and 1 <= line <= len(lines):
            start = sum(len(one) for one in lines[: line - 1])
            code = lines[line - 1].strip()
            start += lines[line - 1].find(code)
            self.span = (start, start + max(1, len(code)))

    def sentence(self) -> str:
        """What was wrong, and in which line of the function."""
        place = f"line {self.line} of the function: " if self.line else ""
        return f"{self.file}: {place}{self.reason}"

    def details(self) -> str:
        """What it printed last."""
        printed = "".join(f"\n    {line}" for line in self.printed.splitlines())
        return f"\n  it printed last:{printed}" if printed else ""


class UserCodeKilled(DeliveryError):
    """The function took more than it may; ``limit`` says of what and how much."""

    file: str
    hint = "make it take less, or ask the operator for more"

    def __init__(self, file: str, limit: str) -> None:
        self.file, self.limit = shown(file), limit
        super().__init__(self.file, limit)

    def sentence(self) -> str:
        """Which limit it met."""
        return f"{self.file}: the function was stopped: it took more than {self.limit}"
