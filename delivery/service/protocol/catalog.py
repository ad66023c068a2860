"""The datasets that requests named: found again by name, until they are stale."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, insert, or_, select
from sqlalchemy.orm import Session

from delivery.datasets import lookups
from delivery.service.context import Caller
from delivery.service.errors import NotAllowed, NotThere
from delivery.service.tables import Dataset, DatasetFile, Transform, utc_now


def of_name(
    session: Session, name: str, did_finder: str, files: Iterable[str] | None = None, *, days: float = 1.0
) -> Dataset:
    """The dataset of this name; made if there is none, complete if its files are given.

    days: so long a lookup is trusted; an older one makes way for a new one.
    """
    lookups.alone(session, name)
    known = select(Dataset).where(Dataset.name == name, Dataset.stale.is_(False)).order_by(Dataset.id).limit(1)
    dataset = session.scalar(known)
    if dataset is not None and lookups.is_outdated(dataset, days):
        dataset.stale, dataset = True, None
    if dataset is not None:
        dataset.last_used = utc_now()
        return dataset
    dataset = Dataset(name=name, did_finder=did_finder)
    session.add(dataset)
    session.flush()
    if files is not None:
        rows = [{"dataset_id": dataset.id, "place": place, "paths": [path]} for place, path in enumerate(files)]
        if rows:  # without any, `insert` would make one of defaults
            session.execute(insert(DatasetFile), rows)
        dataset.n_files, dataset.lookup_status = len(rows), "complete"
    return dataset


def listed(session: Session, caller: Caller, did_finder: str | None, *, stale: bool) -> Sequence[Dataset]:
    """Datasets that the caller may see, the latest first; also stale ones if those are wanted."""
    wanted = select(Dataset).order_by(Dataset.id.desc())
    if caller.role != "admin":
        wanted = wanted.where(or_(Dataset.did_finder != "user", _used_by(caller)))
    if did_finder is not None:
        wanted = wanted.where(Dataset.did_finder == did_finder)
    if not stale:
        wanted = wanted.where(Dataset.stale.is_(False))
    return session.scalars(wanted).all()


def by_id(session: Session, dataset_id: int, caller: Caller) -> Dataset:
    """One dataset. Raises NotThere; NotAllowed for another user's list of files."""
    dataset = session.get(Dataset, dataset_id)
    if dataset is None:
        raise NotThere(f"there is no dataset {dataset_id}")
    if dataset.did_finder == "user" and not _may_change(session, dataset, caller):
        raise NotAllowed(f"dataset {dataset_id} is another user's list of files")
    return dataset


def files_of(session: Session, dataset: Dataset) -> Sequence[DatasetFile]:
    """Its files, in their order."""
    return session.scalars(
        select(DatasetFile).where(DatasetFile.dataset_id == dataset.id).order_by(DatasetFile.place)
    ).all()


def make_stale(session: Session, dataset: Dataset, caller: Caller) -> None:
    """Have it looked up anew when it is asked for again. Raises NotAllowed for who never used it."""
    if not _may_change(session, dataset, caller):
        raise NotAllowed(f"dataset {dataset.id} can be deleted by an admin, or by who has a request that uses it")
    dataset.stale = True


def _used_by(caller: Caller) -> ColumnElement[bool]:
    return Dataset.id.in_(select(Transform.dataset_id).where(Transform.owner_id == caller.user_id))


def _may_change(session: Session, dataset: Dataset, caller: Caller) -> bool:
    if caller.role == "admin":
        return True
    return session.scalar(select(Dataset.id).where(Dataset.id == dataset.id, _used_by(caller))) is not None
