"""Views of datasets; a user's own list of files is called by what it holds, its name is a digest."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from delivery.service.context import Caller
from delivery.service.protocol import catalog
from delivery.service.tables import Dataset, DatasetFile, Transform
from delivery.urls import shown, without_secrets

ROWS: Final = 50
FILES: Final = 200
NAMED: Final = 2
"""So many files of a list are named in its title."""
LOOKUPS: Final[Mapping[str, str]] = {
    "created": "not looked up yet",
    "looking": "being looked up",
    "complete": "complete",
    "does_not_exist": "does not exist",
    "bad_name": "cannot be looked up by this name",
    "internal_failure": "lookup failed",
}
"""The states of a lookup in words."""


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset; `title` is for people, `lookup` its lookup's state and `lookup_error` what went wrong in words."""

    id: int
    title: str
    name: str
    did_finder: str
    lookup_status: str
    lookup: str
    lookup_error: str | None
    files: int
    bytes: int
    events: int
    stale: bool
    last_used: datetime
    last_updated: datetime


@dataclass(frozen=True, slots=True)
class DatasetFileRow:
    """A file of a dataset."""

    place: int
    paths: tuple[str, ...]
    bytes: int
    events: int
    adler32: str | None


@dataclass(frozen=True, slots=True)
class DatasetsAsked:
    """Which page of the datasets is asked for, and whether with those that nobody will use again."""

    deleted: bool = False
    page: int = 1

    def link(self, **other: object) -> str:
        """The query part of a URL for the same with something else."""
        chosen = {"deleted": self.deleted, "page": self.page, **other}
        return "?" + "&".join(
            f"{name}={str(value).lower()}" for name, value in chosen.items() if value not in (False, 1)
        )


@dataclass(frozen=True, slots=True)
class DatasetList:
    """A page of the datasets that the caller may see."""

    asked: DatasetsAsked
    rows: tuple[DatasetRow, ...]
    total: int
    pages: int


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A dataset with its first files, and the requests that used it last."""

    dataset: DatasetRow
    files: tuple[DatasetFileRow, ...]
    requests: tuple[tuple[str, str, str], ...]


def dataset_list(session: Session, who: Caller, asked: DatasetsAsked) -> DatasetList:
    """The datasets, the latest first."""
    found = catalog.listed(session, who, None, stale=asked.deleted)
    pages = max(1, -(-len(found) // ROWS))
    start = (min(asked.page, pages) - 1) * ROWS
    some = found[start : start + ROWS]
    titles = titles_of(session, some)
    return DatasetList(asked, tuple(_row(one, titles[one.id]) for one in some), len(found), pages)


def dataset_view(session: Session, who: Caller, dataset_id: int) -> DatasetView:
    """One dataset. Raises NotThere and NotAllowed."""
    dataset = catalog.by_id(session, dataset_id, who)
    files = catalog.files_of(session, dataset)[:FILES]
    using = select(Transform).where(Transform.dataset_id == dataset.id, Transform.target != "Deleted")
    users = session.scalars(using.order_by(Transform.id.desc()).limit(50)).all()
    return DatasetView(
        _row(dataset, titles_of(session, [dataset])[dataset.id]),
        tuple(
            DatasetFileRow(one.place, tuple(map(shown, one.paths)), one.size, one.events, one.adler32) for one in files
        ),
        tuple((one.request_id, one.title or "(no title)", one.status) for one in users if who.may_see(one.owner_id)),
    )


def titles_of(session: Session, datasets: Sequence[Dataset]) -> dict[int, str]:
    """What datasets are called on pages, by their id."""
    lists = [one.id for one in datasets if one.did_finder == "user"]
    first = select(DatasetFile.dataset_id, DatasetFile.paths).order_by(DatasetFile.place)
    rows = session.execute(first.where(DatasetFile.dataset_id.in_(lists), DatasetFile.place < NAMED))
    names: defaultdict[int, list[str]] = defaultdict(list)
    for dataset_id, paths in rows:
        names[dataset_id].append(shown(paths[0]))
    return {
        one.id: title(one.n_files, names[one.id]) if one.did_finder == "user" else shown(one.name) for one in datasets
    }


def title(files: int, first: Iterable[str]) -> str:
    """A list of files by the names of its first: ``12 files: first.root, second.root …``."""
    names = ", ".join(path.rstrip("/").rpartition("/")[2] or path for path in first)
    if files <= 1:
        return names or "an empty list of files"
    return f"{files} files: {names}" + (" …" if files > NAMED else "")


def _row(dataset: Dataset, title: str) -> DatasetRow:
    return DatasetRow(
        id=dataset.id,
        title=title,
        name=shown(dataset.name),
        did_finder=dataset.did_finder,
        lookup_status=dataset.lookup_status,
        lookup=LOOKUPS.get(dataset.lookup_status, dataset.lookup_status.replace("_", " ")),
        lookup_error=without_secrets(dataset.lookup_error) if dataset.lookup_error else None,
        files=dataset.n_files,
        bytes=dataset.size,
        events=dataset.events,
        stale=dataset.stale,
        last_used=dataset.last_used,
        last_updated=dataset.last_updated,
    )
