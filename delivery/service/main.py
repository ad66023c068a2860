"""The process: `serve` runs the application on one port until it is told to stop."""

import socket
from collections.abc import Callable

import uvicorn

from delivery.service import logs
from delivery.service.app import create_app
from delivery.service.errors import ServiceError
from delivery.service.settings import Settings
from delivery.service.sign_in.connections import PatientProtocol


class AddressUnusable(ServiceError):
    """The address to serve at cannot be used, or must not be."""


def serve(settings: Settings, started: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM; then running files finish or go back to the queue, for `shutdown_seconds`.

    started: called with the URL when connections are taken; port 0 means any free one.

    Raises AddressUnusable.
    """
    if not settings.loopback and not settings.needs_sign_in:
        raise AddressUnusable(
            f"{settings.host} can be reached from other machines: leave sign_in on, or serve at 127.0.0.1"
        )
    logs.configure(settings.log_level)
    listening = _listen(settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listening.getsockname()[1]}"

    def end_streams() -> None:
        app.state.service.changes.close()

    _Server(config, lambda: started(url), end_streams).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Says when it takes connections, and ends open streams first when it stops: they would hold it up."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started, self._end_streams = started, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


def _listen(settings: Settings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = f"{settings.host} port {settings.port} cannot be served at ({error.strerror or error})"
        raise AddressUnusable(f"{reason}; choose another port, 0 means any free one") from error
    listening.set_inheritable(False)
    return listening
