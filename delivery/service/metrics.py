"""/metrics: what Prometheus reads of one process of the service, and of the state that all processes share."""

import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.service.context import Service, service_of
from delivery.service.errors import ServiceError
from delivery.service.sign_in.callers import admin, caller
from delivery.service.tables import Transform, TransformFile

STATUSES: Final = ("Submitted", "Pending Lookup", "Lookup", "Running", "Complete", "Fatal", "Canceled", "Bad Dataset")
FILE_STATES: Final = ("waiting", "running", "done", "failed", "canceled")
PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers of which a proxy sets one: then the call's own address is the proxy's."""
SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

router = APIRouter(tags=["health"])


class Metrics:
    """One application's figures; the application keeps it as ``app.state.metrics``."""

    def __init__(self, service: Service | None = None) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "skimflow_http_requests", "Calls answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "skimflow_http_seconds",
            "Seconds until an answer began.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.streams = Gauge("skimflow_event_streams", "Streams of server-sent events open.", registry=self.registry)
        if service is not None:
            self.registry.register(State(service))


class State(Collector):
    """Figures read when they are asked for: requests and files by state, workers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand, so that registering asks no database."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment; those of a database that cannot be reached are left out."""
        try:
            yield from self._requests()
            reached = 1.0
        except ServiceError:
            reached = 0.0
        yield GaugeMetricFamily("skimflow_database_up", "Whether the database answers.", value=reached)
        yield from self._workers()

    def _requests(self) -> Iterator[Metric]:
        with self._service.database.reading() as session:
            by_status = dict(session.execute(select(Transform.status, func.count()).group_by(Transform.status)).all())
            by_state = dict(
                session.execute(select(TransformFile.state, func.count()).group_by(TransformFile.state)).all()
            )
            sums = select(func.sum(Transform.total_events), func.sum(Transform.total_bytes))
            events, size = session.execute(sums).one()
        requests = GaugeMetricFamily("skimflow_requests", "Requests kept, by status.", labels=["status"])
        for status in STATUSES:
            requests.add_metric([status], by_status.get(status, 0))
        files = GaugeMetricFamily("skimflow_files", "Files of the requests kept, by state.", labels=["state"])
        for state in FILE_STATES:
            files.add_metric([state], by_state.get(state, 0))
        yield requests
        yield files
        yield GaugeMetricFamily("skimflow_events_read", "Events read for the requests kept.", value=float(events or 0))
        yield GaugeMetricFamily("skimflow_result_bytes", "Bytes of the results kept.", value=float(size or 0))

    def _workers(self) -> Iterator[Metric]:
        workers = self._service.runner.workers()
        yield GaugeMetricFamily("skimflow_workers", "Workers that this process sees.", value=len(workers))
        yield GaugeMetricFamily("skimflow_worker_threads", "Their threads.", value=sum(one.threads for one in workers))


class Measured:
    """ASGI middleware that counts calls and their seconds by the route's template, never by the path itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the call and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, done = time.perf_counter(), False
        metrics: Metrics = scope["app"].state.metrics

        def measure(status: int) -> None:
            nonlocal done
            if done:
                return
            done = True
            route = getattr(scope.get("route"), "path", "(none)")
            metrics.calls.labels(scope["method"], route, str(status)).inc()
            metrics.seconds.labels(scope["method"], route).observe(time.perf_counter() - began)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                measure(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            measure(500)


def monitor(request: Request, service: Annotated[Service, Depends(service_of)]) -> None:
    """A call that comes straight from one of the operator's `metrics_networks`, or an admin's.

    Raises NotSignedIn and NotAllowed.
    """
    peer = request.client.host if request.client else ""
    passed_on = any(name in request.headers for name in PASSED_ON)
    if passed_on or not lies_in(peer, service.settings.metrics_networks):
        admin(caller(request))


def lies_in(host: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is one of these networks'."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # as a socket of both kinds tells of IPv4
        address = address.ipv4_mapped
    return any(address in network for network in networks)


@router.get("/metrics", include_in_schema=False, dependencies=[Depends(monitor)])
def metrics(request: Request) -> Response:
    """The figures as Prometheus reads them."""
    kept: Metrics = request.app.state.metrics
    return Response(generate_latest(kept.registry), media_type=CONTENT_TYPE_LATEST)
