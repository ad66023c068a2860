"""What can go wrong while an input is read, as the errors that users see."""

from collections.abc import Iterator
from contextlib import contextmanager

from delivery.errors import DeliveryError, InputUnreachable, MissingFile, OutOfMemory, QueryFault, UnreadableFile
from delivery.identity import local_path, missing
from delivery.retry import is_transient
from delivery.urls import shown


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Turns whatever goes wrong while bytes are read into UnreadableFile.

    InputUnreachable where a retry may help, OutOfMemory where a shorter range of entries may.
    """
    try:
        yield
    except DeliveryError:
        raise
    except FileNotFoundError as error:
        path = local_path(file)
        raise (MissingFile(file) if path is None else missing(path)) from error
    except IsADirectoryError as error:
        raise MissingFile(file, "it is a folder") from error
    except PermissionError as error:
        raise UnreadableFile(file, error.strerror or one_line(error)) from error
    except ImportError as error:
        raise UnreadableFile(file, f"a package that reads such files is not installed ({one_line(error)})") from error
    except MemoryError as error:
        raise OutOfMemory(file, _wanted(error)) from error
    except Exception as error:  # damaged bytes make uproot fail in any way
        if is_transient(error, file):
            raise InputUnreachable(file, one_line(error)) from error
        what = "it cannot be read" if isinstance(error, OSError) else "its structure is damaged"
        raise UnreadableFile(file, f"{what} ({one_line(error)})") from error


@contextmanager
def about(file: str) -> Iterator[None]:
    """A fault of the query that comes out of this block says which file's columns it does not fit.

    What memory did not suffice for, be it while rows are computed or written, comes out as OutOfMemory.
    """
    try:
        yield
    except QueryFault as fault:
        fault.file = fault.file or shown(file)
        raise
    except MemoryError as error:
        raise OutOfMemory(file, _wanted(error)) from error


def _wanted(error: MemoryError) -> str:
    """What NumPy or Arrow say that they wanted; Python itself says nothing."""
    return one_line(error) if str(error).strip() else "more was asked for than there is"


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its class's name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
