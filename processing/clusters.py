"""Where chunks are worked on: in this process, on a local Dask cluster, or on a facility's."""

from __future__ import annotations

import importlib
import logging
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Literal

from artifacts.transport import own_security
from processing.errors import ClusterUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Security

Kind = Literal["local", "iterative", "address", "coffea-casa", "gateway", "htcondor", "slurm"]

COFFEA_CASA_SCHEDULER = "tls://localhost:8786"
JOBQUEUE_CLASSES = {"htcondor": "HTCondorCluster", "slurm": "SLURMCluster"}


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which workers to use.

    Attributes:
        kind: "local" starts ``workers`` processes here; "iterative" works in this process; "address" joins the
            scheduler at ``address``; "coffea-casa" joins that of the user's session; "gateway" asks a Dask Gateway
            (at ``address``, if given) for ``workers``; "htcondor" and "slurm" submit ``workers`` jobs through
            dask-jobqueue.
        workers: number of one-thread workers, for the kinds that start them.
        address: of the scheduler or gateway.
        worker_timeout: seconds without any worker after which a run is given up; raise it where workers queue for long.
        worker_memory: of each batch job, in Dask's notation.
        connect_timeout: seconds to wait for the scheduler to answer.
        security: what the scheduler at ``address`` asks to be shown; Dask's own settings if None.
    """

    kind: Kind = "local"
    workers: int = 2
    address: str | None = None
    worker_timeout: float = 25.0
    worker_memory: str = "4GiB"
    connect_timeout: float = 20.0
    security: Security | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ClusterUnavailable(f"a cluster needs at least 1 worker, got {self.workers}")
        if self.kind == "address" and not self.address:
            raise ClusterUnavailable("cluster kind 'address' needs the scheduler's address, as tcp://host:8786")


@contextmanager
def connect(settings: ClusterSettings) -> Iterator[Any]:
    """A Dask client of the cluster; what was started for it is stopped at the end.

    Raises:
        ClusterUnavailable: nobody answers, or a package for this kind of cluster is missing.
    """
    from distributed import Client

    make_client: Any = Client

    with ExitStack() as stack:
        if settings.kind == "local":
            yield stack.enter_context(make_client(stack.enter_context(local_cluster(settings.workers))))
            return
        if settings.kind in {"address", "coffea-casa"}:
            target: Any = settings.address or COFFEA_CASA_SCHEDULER
        else:
            target = stack.enter_context(_batch_cluster(settings))
        try:
            security, timeout = settings.security, settings.connect_timeout
            client = stack.enter_context(make_client(target, security=security, timeout=timeout))
        except (OSError, TimeoutError) as error:
            raise ClusterUnavailable(
                f"no Dask scheduler answers at {target} ({error}); is it running, and reachable from here?"
            ) from error
        except TypeError as error:  # that is how Dask says it
            raise ClusterUnavailable(
                f"the scheduler at {target} asks for certificates, and Dask's settings (distributed.comm.tls) name none"
            ) from error
        yield client


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """A Dask cluster of processes on this machine that stays at its size, and lets nobody else in.

    A process that dies while it starts is not started again by Dask's nanny, and after some such deaths a plain
    LocalCluster is left without workers; adaptive scaling between equal bounds puts them back.
    """
    import dask
    from distributed import LocalCluster

    make_cluster: Any = LocalCluster
    try:
        with _interrupts_held():
            cluster = make_cluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                security=own_security(),
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
    except RuntimeError as error:
        raise ClusterUnavailable(
            f"the local cluster did not start ({error}); cluster kind 'iterative' works without one"
        ) from error
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), cluster:
        cluster.adapt(minimum=workers, maximum=workers, interval="1s")
        yield cluster


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Threads and processes that are started meanwhile never see Ctrl-C: this process does, and ends them in order."""
    resource_tracker.ensure_running()  # its start, which the first process else brings about, would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _batch_cluster(settings: ClusterSettings) -> Any:
    if settings.kind == "gateway":
        cluster = _optional("dask_gateway", "dask-gateway").GatewayCluster(address=settings.address)
    else:
        jobqueue = _optional("dask_jobqueue", "dask-jobqueue")
        job_class = getattr(jobqueue, JOBQUEUE_CLASSES[settings.kind])
        cluster = job_class(cores=1, processes=1, memory=settings.worker_memory)
    cluster.scale(settings.workers)
    return cluster


def _optional(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ClusterUnavailable(
            f"this cluster kind needs the package {package}: install it with `pip install {package}`, "
            "or use cluster kind 'address' with a running scheduler"
        ) from error
