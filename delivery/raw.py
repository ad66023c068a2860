"""No skim: the input files go to processing as they are."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from time import perf_counter

from delivery.errors import MissingFile
from delivery.identity import local_path, root_header
from delivery.outputs import tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest, Outcome
from delivery.retry import attempts, sentence

THREADS = 8
"""Files looked at side by side: a look is a few small reads, most of it waiting for a far storage."""


class RawEndpoint:
    """Looks at each input (is it there, whole, has it the tree, how many events) and hands it on untouched."""

    name = "raw"

    def identity(self) -> dict[str, str]:
        """The input decides everything."""
        return {"endpoint": "raw"}

    def deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:  # noqa: ARG002 - nothing is written
        """Yield each input as its own delivery; see `delivery.endpoint.Endpoint.deliver`."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="raw") as pool:
            futures = [pool.submit(_look, request) for request in requests]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)


def _read(path: Path | str, tree: str | None) -> tuple[str, int]:
    """Tree and events of a file that is whole: a remote one may lack its end and still have a readable tree."""
    if isinstance(path, str):
        root_header(path)
    return tree_and_entries(path, tree)


def _look(request: FileRequest) -> Outcome:
    path = local_path(request.file) or request.file
    start = perf_counter()
    retrying = attempts(request.file)
    try:
        if isinstance(path, Path) and not path.exists():
            raise MissingFile(str(path))
        tree, entries = retrying(_read, path, request.tree)
    except Exception as error:  # noqa: BLE001 - whatever one file raises is that file's failure, not the run's
        return FileFailed(request, *sentence(error), attempts=retrying.statistics.get("attempt_number", 1))
    return FileDelivered(
        request,
        path,
        tree,
        events_in=entries,
        events_out=entries,
        cutflow=(),
        attempts=retrying.statistics["attempt_number"],
        seconds=perf_counter() - start,
        bytes_read=0,
    )
