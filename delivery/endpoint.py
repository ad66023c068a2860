"""One way to ask for columns, whoever brings them.

    for outcome in open_endpoint("local").deliver(requests, scratch):
        match outcome: FileDelivered(...) | FileFailed(...)

An endpoint knows nothing of what was delivered before: ask it for what is missing only, and keep each outcome as it
comes. Ask for everything in one call: an endpoint starts what it needs (workers, a request per sample) once per call.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from delivery.errors import UnknownEndpoint
from delivery.requests import FileRequest, Outcome

KINDS = ("local", "raw", "servicex")


class Endpoint(Protocol):
    """Who brings columns."""

    name: str

    def identity(self) -> dict[str, str]:
        """What of the endpoint decides the bytes that it delivers; cheap, and never asks a network."""
        ...

    def deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
        """Bring each file, in any order, as each one ends.

        Every request gets exactly one outcome: a file that fails is a `FileFailed` and harms no other. Delivered
        files lie in ``scratch`` (made if absent), which belongs to the caller, or are the inputs themselves (raw).

        Raises a `DeliveryError` only when nothing more can be delivered, such as `EndpointUnreachable`,
        `NotAuthorized`, `NoWorkers` or `WorkerDiffers`; outcomes yielded before stay valid. Closing the
        iterator ends the work.
        """
        ...


def open_endpoint(kind: str, **settings: Any) -> Endpoint:
    """The endpoint of a kind, with that kind's settings.

    kind: ``local`` (see `delivery.local.LocalEndpoint`), ``raw`` (`delivery.raw.RawEndpoint`), ``servicex``
    (`delivery.remote.ServiceXEndpoint`), the URL of a ServiceX, or the name of one in the ServiceX configuration file.

    Raises UnknownEndpoint, which names what is allowed.
    """
    if kind == "local":
        from delivery.local import LocalEndpoint

        return LocalEndpoint(**settings)
    if kind == "raw":
        from delivery.raw import RawEndpoint

        return RawEndpoint(**settings)

    from delivery.remote import ServiceXEndpoint
    from delivery.servicex_config import find_config

    if kind == "servicex":
        return ServiceXEndpoint(**settings)
    if kind.startswith(("http://", "https://")):
        return ServiceXEndpoint(url=kind, **settings)
    config = find_config(settings.get("config_path"))
    if config is not None and kind in config.backends:
        return ServiceXEndpoint(backend=kind, **settings)
    backends = () if config is None else tuple(config.backends)
    raise UnknownEndpoint(kind, (*KINDS, "http(s)://…", *backends), "is known")
