"""A ServiceX service, asked through its official client; one of our own through our own (`delivery.service_client`).

The client is used as it is, and never trusted to have delivered everything: it returns an incomplete list as a whole
one, waits for ever where a service's counts disagree, and remembers results without looking at the files' content. So
every input is matched to its own result, silence has an end, and nothing is remembered between calls.
"""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from typing import Any

from delivery.errors import (
    DeliveryError,
    EndpointUnreachable,
    MissingResult,
    NotAuthorized,
    RequestFailed,
)
from delivery.outputs import output_name, tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest, Outcome
from delivery.retry import PASSING_STATUS, attempts, sentence
from delivery.servicex_config import Backend, choose
from delivery.servicex_results import Result, match
from delivery.urls import shown, without_secrets

CAPABILITY = "skimflow_events"
"""What our service says of itself in ``GET /servicex``, and no other ServiceX does."""

STALL_SECONDS = 300.0
"""So long a service may say nothing at all, or fail to hand over what it says it has."""

ENDED = frozenset({"Complete", "Fatal", "Canceled", "Bad Dataset"})

_same_request = attrgetter("sample", "query_text", "codegen", "format")


class ServiceXEndpoint:
    """A ServiceX service: one request per sample.

    backend: a name in the ServiceX configuration file; None means the file's default. url: a service to ask instead;
    its token is ``token``, or that of the configuration file if it knows this URL. config_path: the configuration
    file, if not where the official client looks for it. poll_seconds: how often a service is asked how far it is.

    Raises UnknownEndpoint if no service is named, or none of that name is in the file.
    """

    name = "servicex"

    def __init__(
        self,
        backend: str | None = None,
        url: str | None = None,
        token: str | None = None,
        config_path: Path | str | None = None,
        poll_seconds: float = 5.0,
    ) -> None:
        self._backend, self._token_source = choose(backend, url, token, config_path)
        self._poll_seconds = poll_seconds

    @property
    def url(self) -> str:
        """The service's address, without a slash at the end."""
        return self._backend.url

    def identity(self) -> dict[str, str]:
        """The service's address: what it runs there is its own business, and asking would need it to be up."""
        return {"endpoint": "servicex", "url": shown(self.url)}

    def deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
        """Ask for each sample's files; see `delivery.endpoint.Endpoint.deliver`. A sample's outcomes come together."""
        if not requests:
            return
        if CAPABILITY in self._capabilities():
            from delivery.service_client.client import ServiceClient
            from delivery.service_client.delivering import deliver

            yield from deliver(ServiceClient(self.url, self._backend.token, self._token_source), requests, scratch)
        else:
            yield from self._deliver(requests, scratch)

    def _deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
        """Through the official client."""
        from anyio.from_thread import start_blocking_portal
        from servicex.minio_adapter import init_s3_config

        scratch.mkdir(parents=True, exist_ok=True)
        ordered = sorted(requests, key=lambda request: (*_same_request(request), request.index))
        samples = [list(same) for _, same in groupby(ordered, _same_request)]
        with start_blocking_portal() as portal:
            portal.call(init_s3_config)  # its semaphore belongs to the event loop that it first meets
            portal.call(_quieten_callbacks)
            futures = [portal.start_task_soon(self._sample, sample, scratch) for sample in samples]
            for future in as_completed(futures):
                yield from future.result()

    def _capabilities(self) -> Sequence[str]:
        for attempt in attempts(self.url):
            with attempt:
                found = _capabilities(self._backend)
        return found

    async def _sample(self, requests: list[FileRequest], scratch: Path) -> list[Outcome]:
        """Ask once, and once more for the files that failed while others of their sample did not."""
        outcomes = await self._request(requests, scratch)
        failed = [outcome.request for outcome in outcomes if isinstance(outcome, FileFailed)]
        if not failed or len(failed) == len(requests):
            return outcomes
        again = [replace(outcome, attempts=2) for outcome in await self._request(failed, scratch)]
        return [outcome for outcome in outcomes if isinstance(outcome, FileDelivered)] + again

    async def _request(self, requests: list[FileRequest], scratch: Path) -> list[Outcome]:
        start = perf_counter()
        with TemporaryDirectory(prefix=".servicex-", dir=scratch) as folder:
            client = self._client(Path(folder))
            try:
                query = self._query(client, requests)
                problem = await self._watch(query)
                rows = await _result_rows(query)
                downloaded = list(query.download_path.iterdir()) if query.download_path else []
                results = match((request.file for request in requests), downloaded, rows)
                seconds = (perf_counter() - start) / len(requests)
                return [
                    _outcome(request, result, problem or self._ending(query, result), scratch, seconds)
                    for request in requests
                    for result in [results[request.file]]
                ]
            finally:
                client.query_cache.close()

    def _client(self, folder: Path) -> Any:
        """The official client with a configuration and a cache of its own, gone after the request."""
        import yaml
        from servicex.servicex_client import ServiceXClient

        endpoint = {"name": self._backend.name, "endpoint": self.url, "token": self._backend.token}
        config = {
            "api_endpoints": [endpoint],
            "cache_path": str(folder / "cache"),
            "shortened_downloaded_filename": True,
        }
        path = folder / "servicex.yaml"
        path.write_text(yaml.safe_dump(config))
        return ServiceXClient(backend=self._backend.name, config_path=str(path))

    def _query(self, client: Any, requests: list[FileRequest]) -> Any:
        from servicex.dataset_identifier import FileListDataset
        from servicex.models import ResultFormat

        first = requests[0]
        query = client.generic_query(
            FileListDataset(list(dict.fromkeys(request.file for request in requests))),
            first.query_text,
            codegen=first.codegen,
            title=first.sample[:128],
            result_format=ResultFormat(first.format),
            ignore_cache=True,
            fail_if_incomplete=False,  # else a Fatal request takes the files with it that are complete
        )
        query.servicex_polling_interval = query.minio_polling_interval = self._poll_seconds
        return query

    async def _watch(self, query: Any) -> DeliveryError | None:
        """Run the client's query to its end, or to the end of patience; say what went wrong, if anything."""
        task = asyncio.ensure_future(query.as_files_async(display_progress=False))
        try:
            if await self._is_done(task, query):
                return self._translate(task.exception())
            return self._silence(query.current_status)
        finally:
            await _end(task)

    async def _is_done(self, task: asyncio.Future[Any], query: Any) -> bool:
        """Wait for the query's end; False when the service has said nothing for too long."""
        status, size, heard = None, 0, monotonic()
        while not task.done():
            await asyncio.wait({task}, timeout=min(self._poll_seconds, 1.0))
            now = _bytes_in(query.download_path)
            if query.request_id is None:  # being submitted, within the client's own time limit
                heard = monotonic()
            elif query.current_status is not status or now != size:
                status, size, heard = query.current_status, now, monotonic()
            elif not task.done() and monotonic() - heard > STALL_SECONDS:
                return False
        return True

    def _silence(self, status: Any) -> DeliveryError:
        if status is None or status.status.value not in ENDED:
            return EndpointUnreachable(self.url, f"no word from it for {STALL_SECONDS:.0f} s")
        counts = f"{status.files_completed} of {status.files} files"
        return MissingResult(self.url, f"it says that {counts} are complete, and does not hand over so many")

    def _translate(self, error: BaseException | None) -> DeliveryError | None:
        import httpx
        from servicex.servicex_adapter import AuthorizationError

        if error is None:
            return None
        if isinstance(error, AuthorizationError):
            raise NotAuthorized(self.url, self._token_source) from error
        reason = without_secrets(str(error), self.url) or type(error).__name__
        return (EndpointUnreachable if isinstance(error, httpx.TransportError) else RequestFailed)(self.url, reason)

    def _ending(self, query: Any, result: Result) -> DeliveryError:
        """Why a file may have no result although the client saw the request to its end."""
        status = query.current_status
        what = "could not transform this file" if result.status == "failure" else "gave no result for this file"
        log = f"; its log: {status.log_url}" if status.log_url else ""
        counts = f"{status.files_completed} of {status.files} files complete, {status.files_failed} failed"
        ending = f"request {status.request_id} ended as {status.status.value}, {counts}"
        return MissingResult(self.url, f"it {what}; {ending}{log}")


def _capabilities(backend: Backend) -> Sequence[str]:
    """What the ServiceX says that it can do. Raises unless one answers, which the official client takes minutes to."""
    import httpx

    from delivery.service_client.access import Access

    url = backend.url
    try:
        answer = httpx.get(f"{url}/servicex", auth=Access(url, backend.token), timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EndpointUnreachable(url, without_secrets(str(error), url) or type(error).__name__) from error
    if answer.status_code in PASSING_STATUS:
        raise EndpointUnreachable(url, f"it answers {answer.status_code} {answer.reason_phrase}")
    if answer.status_code in (401, 403):
        return ()  # the client finds out what is wrong with the token
    if answer.status_code != 200 or b"code-gen-image" not in answer.content:
        raise RequestFailed(url, "what answers there is no ServiceX; `skimflow doctor` says what answers from here")
    return tuple(answer.json().get("capabilities") or ())


def _quieten_callbacks() -> None:
    """The client raises in callbacks, where nothing can catch it; what went wrong is read from the status instead."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel the client's query for good: it takes the first cancellation as a word to stop downloading only.

    What still ran later would write into a folder that is gone, and make it anew.
    """
    from anyio import CancelScope

    with CancelScope(shield=True):
        for patience in (1, 20):
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=patience)


def _bytes_in(folder: Path | None) -> int:
    """Bytes downloaded so far; files may come and go meanwhile."""
    total = 0
    for path in folder.iterdir() if folder else ():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


async def _result_rows(query: Any) -> Sequence[Mapping[str, Any]]:
    """The service's result rows of a request; none if it has no such call or does not answer."""
    import httpx

    if query.request_id is None:
        return []
    try:
        headers = await query.servicex._get_authorization()
        async with httpx.AsyncClient(timeout=30) as session:
            url = f"{query.servicex.url}/servicex/transformation/{query.request_id}/results"
            answer = await session.get(url, headers=headers)
        rows = answer.json().get("results", []) if answer.is_success else []
    except (httpx.HTTPError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)]


def _outcome(request: FileRequest, result: Result, problem: DeliveryError, scratch: Path, seconds: float) -> Outcome:
    path = scratch / output_name(request)
    try:
        if result.path is None:
            raise problem
        if result.bytes is not None and result.path.stat().st_size != result.bytes:
            raise MissingResult(problem.args[0], f"the file came incomplete, not {result.bytes} bytes")
        shutil.copyfile(result.path, path)
        tree, entries = tree_and_entries(path)
    except (DeliveryError, OSError) as error:
        return FileFailed(request, *sentence(error), attempts=1)
    return FileDelivered(
        request,
        path,
        tree,
        events_in=None,  # the service counts what it wrote, not what it read
        events_out=entries,
        cutflow=(),
        attempts=1,
        seconds=seconds,
        bytes_read=0,
    )
