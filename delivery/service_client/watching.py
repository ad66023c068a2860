"""What happens to a request, as it happens."""

import json
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final

import httpx

from delivery.errors import EndpointUnreachable
from delivery.service_client.errors import Busy, NoSuchRequest, NotOurService, RequestRefused
from delivery.service_client.records import Update
from delivery.service_client.server_sent_events import Event, events

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient

SILENCE: Final = httpx.Timeout(45.0, connect=5.0)
"""A stream that says nothing for so long, not even that it lives, is broken."""

SOONEST, LATEST = 0.05, 2.0
"""Seconds between two tries to connect again, and between two questions where events do not come through."""


def watch(client: "ServiceClient", request_id: str) -> Iterator[Update]:
    """See `ServiceClient.watch`. After a broken connection rows come again that came before."""
    from delivery.service_client.client import PATIENCE_SECONDS

    last_id, heard, wait = "", monotonic(), SOONEST
    while True:
        came = False
        try:
            for event in _stream(client, request_id, last_id):
                if event.name == "deleted":
                    raise NoSuchRequest(client.url, f"the request {request_id} was deleted")
                update = _update(event, client.url)
                came, last_id, heard, wait = True, event.last_id, monotonic(), SOONEST
                yield update
                if update.status.ended:
                    return
        except (Busy, RequestRefused):  # too many streams, or somebody on the way does not let them through
            break
        except EndpointUnreachable as error:
            if client.closed or monotonic() - heard > PATIENCE_SECONDS:
                raise
            if isinstance(error.__cause__, httpx.ReadTimeout) and not came:
                break  # the first event is sent at once: somebody keeps it back
        client.pause(wait)
        wait = min(2 * wait, LATEST)
    yield from _asked(client, request_id)


def _stream(client: "ServiceClient", request_id: str, last_id: str) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    with client.stream(f"/servicex/transformation/{request_id}/events", headers, SILENCE) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise RequestRefused(client.url, "no stream of events")
        yield from events(answer.iter_lines())


def _update(event: Event, url: str) -> Update:
    try:
        return Update.from_wire(json.loads(event.data))
    except (ValueError, KeyError, TypeError) as error:
        raise NotOurService(url, f"it sends events that are none of a request's ({error!r})") from error


def _asked(client: "ServiceClient", request_id: str) -> Iterator[Update]:
    """The same by asking, seldomer while nothing changes."""
    version, wait = -1, SOONEST
    while True:
        status = client.status(request_id)  # before the rows: when it has ended, they are all there
        if status.version != version:
            version, wait = status.version, SOONEST
            yield Update(status, tuple(client.files(request_id)), tuple(client.results(request_id)))
            if status.ended:
                return
        client.pause(wait)
        wait = min(1.5 * wait, LATEST)
