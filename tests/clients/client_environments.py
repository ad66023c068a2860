"""Environments of other clients of ServiceX: ``python tests/clients/client_environments.py`` makes those that miss.

Each has its pins in environments/. They lie in the environment that runs the tests, and are made anew when the pins
change.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

PINS = Path(__file__).parent / "environments"
PLACE = Path(sys.prefix) / "clients"


class NotMade(Exception):
    """An environment is not there, or has other pins."""


def python_of(name: str) -> Path:
    """The Python of an environment. Raises NotMade with what makes it."""
    if not _is_made(name):
        command = f"{sys.executable} {Path(__file__)}"
        raise NotMade(f"the environment {PLACE / name} is not there or has other pins; `{command}` makes it")
    return PLACE / name / "bin" / "python"


def make(name: str) -> None:
    """Make an environment, if it is not there with these pins."""
    if _is_made(name):
        return
    folder = PLACE / name
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "-r", str(_pins(name))], check=True)
    (folder / "made").write_text(_digest(name))


def main() -> None:
    for pins in sorted(PINS.glob("*.txt")):
        make(pins.stem)


def _pins(name: str) -> Path:
    return PINS / f"{name}.txt"


def _digest(name: str) -> str:
    """Of the pins, and of the Python that they are installed for."""
    return sha256(_pins(name).read_bytes() + sys.version.encode()).hexdigest()


def _is_made(name: str) -> bool:
    made = PLACE / name / "made"
    return made.is_file() and made.read_text() == _digest(name)


if __name__ == "__main__":
    main()
