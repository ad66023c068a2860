"""What to do about data that a selection of codegen uproot-raw cannot take, in the words of that codegen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from delivery.errors import DataFault, EmptyList, LengthMismatch, ResultTooLarge

_HINTS: Mapping[type[DataFault], str] = {
    LengthMismatch: 'combine columns of one collection, or cut on equal counts: "cut": "num(a) == num(b)"',
    EmptyList: 'cut on the events that have one: "cut": "num(x) > 0"',
    ResultTooLarge: "choose objects by a mask, as in x[x > 20], before they are combined, or combine fewer",
}


@contextmanager
def hinting() -> Iterator[None]:
    """A `DataFault` that comes out of this block has the hint of this codegen."""
    try:
        yield
    except DataFault as fault:
        fault.hint = _HINTS.get(type(fault), fault.hint)
        raise
