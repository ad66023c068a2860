"""How much a function that a request brings may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one run of one function; a function that reaches one is killed.

    ``memory_bytes`` is what it may take beyond the libraries, which are loaded before; ``disk_bytes`` bounds its
    scratch folder, the output included, ``files`` the number of files and folders there. ``input_bytes`` is the size up
    to which a remote input is fetched.
    """

    cpu_seconds: int = 600
    wall_seconds: float = 900.0
    memory_bytes: int = 2 * 1024**3
    disk_bytes: int = 8 * 1024**3
    files: int = 1000
    input_bytes: int = 8 * 1024**3
    open_files: int = 256
