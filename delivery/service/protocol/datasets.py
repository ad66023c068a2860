"""Datasets that were looked up, and lists of files that were sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from delivery.service.context import Caller, Service, service_of
from delivery.service.protocol import catalog
from delivery.service.protocol.models import Datasets, DatasetWithFiles, Stale, Text
from delivery.service.protocol.wire import dataset_of
from delivery.service.sign_in.callers import caller

router = APIRouter(prefix="/servicex/datasets", tags=["datasets"])

Here = Annotated[Service, Depends(service_of)]
Who = Annotated[Caller, Depends(caller)]
DatasetId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("", response_model=Datasets)
def listed(
    service: Here,
    who: Who,
    did_finder: Annotated[Text | None, Query(alias="did-finder")] = None,
    show_deleted: Annotated[bool, Query(alias="show-deleted")] = False,
) -> dict[str, Any]:
    """Datasets, those of one finder only if it is named."""
    with service.database.reading() as session:
        found = catalog.listed(session, who, did_finder, stale=show_deleted)
        return {"datasets": [dataset_of(dataset) for dataset in found]}


@router.get("/{dataset_id}", response_model=DatasetWithFiles)
def one(service: Here, who: Who, dataset_id: DatasetId) -> dict[str, Any]:
    """A dataset with its files."""
    with service.database.reading() as session:
        dataset = catalog.by_id(session, dataset_id, who)
        return dataset_of(dataset, catalog.files_of(session, dataset))


@router.delete("/{dataset_id}", response_model=Stale)
def delete(service: Here, who: Who, dataset_id: DatasetId) -> dict[str, bool]:
    """Have it looked up anew when it is asked for again; requests that use it go on."""
    service.database.transact(lambda session: catalog.make_stale(session, catalog.by_id(session, dataset_id, who), who))
    return {"stale": True}
