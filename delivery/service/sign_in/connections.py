"""Clients that send a header one byte at a time, connect and say nothing, or do not read what they asked for."""

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS: Final = 20.0
"""In which a header must have come, from the connection or from the header's first byte on."""


READ_SECONDS: Final = 60.0
"""In which a client must have read at least `READ_BYTES` of what waits for it."""
READ_BYTES: Final = 20 * 1024


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which by itself waits for ever: for a header's end, and for a client to read.

    Pass it to uvicorn as ``http``.
    """

    header_seconds, read_seconds = HEADER_SECONDS, READ_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first header."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that `pause_writing` tells of every byte that waits
        self._await_header()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a header, if this was not all of it."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_header()
        else:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """Bytes wait for the client: see that it reads them."""
        super().pause_writing()
        self._await_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has read them."""
        self._stop_reading()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self._stop_reading()
        super().connection_lost(exc)

    def _await_header(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _await_reading(self, left: int) -> None:
        self._reading = self.loop.call_later(self.read_seconds, self._look, left)

    def _look(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if before - left < READ_BYTES:
            self.transport.abort()  # a close would wait for the bytes to be read
        else:
            self._await_reading(left)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
