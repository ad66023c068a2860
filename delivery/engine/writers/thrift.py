"""Thrift's compact protocol, as far as Parquet's headers and footers use it.

A struct is a dict from field number to (kind, value); the value of a list is (kind of its items, items). The protocol:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeAlias


class Kind(IntEnum):
    """What a field holds; the flags have no bytes of their own, the kind is their value."""

    TRUE = 1
    FALSE = 2
    BYTE = 3
    I16 = 4
    I32 = 5
    I64 = 6
    DOUBLE = 7
    BINARY = 8
    LIST = 9
    STRUCT = 12


Value: TypeAlias = tuple[Kind, Any]
Struct: TypeAlias = dict[int, Value]

_LONG = 15  # items of a list, or steps between field numbers, for which a header of one byte has no room
_SIZES = {Kind.TRUE: 0, Kind.FALSE: 0, Kind.BYTE: 1, Kind.DOUBLE: 8}


def i32(value: int) -> Value:
    """A field of 32 bits, or of an enumeration; OverflowError for a larger number."""
    if abs(value) >= 1 << 31:
        raise OverflowError(f"{value} is no number of 32 bits")
    return Kind.I32, value


def i64(value: int) -> Value:
    """A field of 64 bits."""
    return Kind.I64, value


def binary(value: bytes) -> Value:
    """A field of bytes, or of text as UTF-8."""
    return Kind.BINARY, value


def struct(value: Struct) -> Value:
    """A field that is a struct."""
    return Kind.STRUCT, value


def many(kind: Kind, items: Sequence[Any]) -> Value:
    """A field that is a list."""
    return Kind.LIST, (kind, items)


def varint(number: int) -> bytes:
    """A number that is not negative: seven bits in each byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(fields: Struct) -> bytes:
    """A struct's bytes."""
    out, last = bytearray(), 0
    for number, (kind, value) in sorted(fields.items()):
        if not 0 < number - last <= _LONG:
            raise ValueError(f"field {number} behind field {last}")
        out.append(number - last << 4 | kind)
        out += _encoded(kind, value)
        last = number
    return bytes(out) + b"\0"


def _encoded(kind: Kind, value: Any) -> bytes:
    match kind:
        case Kind.I16 | Kind.I32 | Kind.I64:
            return varint(value << 1 if value >= 0 else (-value << 1) - 1)
        case Kind.BINARY:
            return varint(len(value)) + bytes(value)
        case Kind.LIST:
            inner, items = value
            size = min(len(items), _LONG)
            head = bytes([size << 4 | inner]) + (varint(len(items)) if size == _LONG else b"")
            return head + b"".join(_encoded(inner, item) for item in items)
        case Kind.STRUCT:
            return encode(value)
        case _:
            return bytes(value)


def decode(data: bytes) -> Struct:
    """The struct that these bytes begin with. Raises ValueError for a kind of field that is not known here."""
    return _Reader(data).struct()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def _bytes(self, count: int) -> bytes:
        self._place += count
        return self._data[self._place - count : self._place]

    def _varint(self) -> int:
        number = shift = 0
        while True:
            (byte,) = self._bytes(1)
            number |= (byte & 0x7F) << shift
            if byte <= 0x7F:
                return number
            shift += 7

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while (head := self._bytes(1)[0]) != 0:
            number += head >> 4
            kind = Kind(head & 0xF)
            fields[number] = kind, self._value(kind)
        return fields

    def _value(self, kind: Kind) -> Any:
        match kind:
            case Kind.I16 | Kind.I32 | Kind.I64:
                number = self._varint()
                return -(number + 1 >> 1) if number & 1 else number >> 1
            case Kind.BINARY:
                return self._bytes(self._varint())
            case Kind.LIST:
                (head,) = self._bytes(1)
                count = self._varint() if head >> 4 == _LONG else head >> 4
                inner = Kind(head & 0xF)
                return inner, [self._value(inner) for _ in range(count)]
            case Kind.STRUCT:
                return self.struct()
            case _:
                return self._bytes(_SIZES[kind])
