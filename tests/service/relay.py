"""A process between others: passes connections on to a port, or serves a folder's files; it can be stopped or killed.

python relay.py PORT (PORT | FOLDER)
"""

import asyncio
import sys
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, until it ends."""
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """One connection to the other port."""
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))


async def files(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path) -> None:
    """HTTP with byte ranges, one call after the other."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.partition("\r\n")[0].split(" ")
            file = folder / unquote(target).lstrip("/")
            if not file.is_file():
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            content, status, more = file.read_bytes(), HTTPStatus.OK, ""
            asked = next((line for line in head.lower().splitlines() if line.startswith("range: bytes=")), None)
            if asked is not None:
                first, last = asked.removeprefix("range: bytes=").split("-")
                start, size = int(first), len(content)
                stop = min(size, int(last) + 1) if last else size
                content, status = content[start:stop], HTTPStatus.PARTIAL_CONTENT
                more = f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n"
            answer = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: {len(content)}\r\n{more}"
            writer.write(f"{answer}Accept-Ranges: bytes\r\n\r\n".encode() + (b"" if method == "HEAD" else content))
            await writer.drain()
    writer.close()


async def main(port: int, other: str) -> None:
    """Serve until the process is ended."""

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (relay(reader, writer, int(other)) if other.isdigit() else files(reader, writer, Path(other)))

    async with await asyncio.start_server(met, "127.0.0.1", port, limit=1 << 20) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
