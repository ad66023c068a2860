"""Input files named by their content: ``blob:<digest>:<size>`` is a blob of the store, wherever it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from artifacts.store import Blob, Store
from processing.errors import ClusterUnavailable, FilesetError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from processing.chunks import Chunk
    from processing.clusters import ClusterSettings

SCHEME = "blob:"
REMEMBERED = 10_000
_FORM = re.compile(r"blob:([0-9a-f]{64}):([0-9]+)")

open_store = cache(Store.open)
"""Each process opens a store once, when its first chunk asks for it."""


def is_blob(path: str) -> bool:
    """Whether a path names a file by its content."""
    return path.startswith(SCHEME)


def blob_at(path: str) -> Blob:
    """The blob that a path names; raises ``FilesetError`` if the path is not of the form."""
    form = _FORM.fullmatch(path)
    if form is None:
        raise FilesetError(f"{path}: a file of the store is named blob:<SHA-256>:<size in bytes>")
    return Blob(form[1], int(form[2]), "application/x-root")


def require_reachable(chunks: Iterable[Chunk], store_url: str, cluster: ClusterSettings) -> None:
    """Refuse workers that cannot see the store that the chunks' files lie in.

    Raises:
        ClusterUnavailable: the store is in this process's memory and the workers are other processes.
    """
    apart = cluster.kind != "iterative" and store_url.startswith("memory:")
    if apart and any(is_blob(chunk.path) for chunk in chunks):
        raise ClusterUnavailable(
            f"workers of a {cluster.kind} cluster cannot read files in {store_url}, the memory of this process; "
            "use cluster kind 'iterative', or a store in a folder or bucket"
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """Makes local files of the blobs that work items name, in the process that works on them.

    A blob is verified once per process and run: ``run`` tells one run from another in workers that outlive both.
    """

    store_url: str
    run: str = field(default_factory=lambda: uuid4().hex)

    def local(self, item: Any) -> Any:
        """The work item with a local file, alone or with the processor as Dask gets it.

        Raises:
            BlobDamaged: the blob is gone or has other bytes than its digest says.
        """
        if isinstance(item, tuple):
            return (self.local(item[0]), *item[1:])
        if not is_blob(item.filename):
            return item
        return replace(item, filename=_verified(self.store_url, item.filename, self.run))


@lru_cache(REMEMBERED)
def _verified(store_url: str, path: str, run: str) -> str:  # noqa: ARG001
    return str(open_store(store_url).local_path(blob_at(path)))
