"""A request's page: what was asked, how far it is, what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from delivery.service.context import Caller
from delivery.service.pages import query_text
from delivery.service.pages.columns import Subject
from delivery.service.pages.dataset_view import titles_of
from delivery.service.pages.figures import Curve, Step, cutflow, summed, throughput
from delivery.service.pages.listing import RequestRow, row_with_owner
from delivery.service.pages.request_files import FilesAsked, FileTable, file_table
from delivery.service.protocol.requests import allowed
from delivery.service.state import OPEN
from delivery.service.tables import Dataset, Result, Transform, TransformFile
from delivery.urls import without_secrets


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the results there are: events read and selected (rows written), bytes read and written."""

    events_in: int
    events_out: int
    bytes_read: int
    bytes: int
    seconds: float
    reused: int
    sum_of_weights: float | None


@dataclass(frozen=True, slots=True)
class RequestView:
    """All of a request's page."""

    row: RequestRow
    did: str
    dataset: str
    dataset_id: int | None
    codegen: str
    semantics: str
    result_format: str
    tree: str | None
    partial: bool
    priority: int
    upstream_id: str | None
    started: datetime | None
    query: query_text.ShownQuery
    totals: Totals
    cutflow: tuple[Step, ...]
    curve: Curve | None
    warnings: tuple[str, ...]
    files: FileTable
    can_cancel: bool
    can_retry: bool


def request_view(session: Session, who: Caller, request_id: str, asked: FilesAsked) -> tuple[RequestView, Subject]:
    """A request's page, and what decides its columns. Raises NotThere and NotAllowed."""
    transform = allowed(session, request_id, who)
    good = Result.transform_id == transform.id, Result.status == "success"
    results = session.scalars(select(Result).where(*good)).all()
    its_files = TransformFile.transform_id == transform.id
    first_file = session.scalar(select(TransformFile).where(its_files).order_by(TransformFile.place).limit(1))
    dataset = session.get(Dataset, transform.dataset_id) if transform.dataset_id else None
    smallest = min((result for result in results if result.digest), key=lambda result: result.bytes, default=None)
    subject = Subject(
        selection=transform.selection,
        codegen=transform.codegen,
        semantics="strict" if transform.semantics == "strict" else "servicex",
        tree=transform.tree,
        path=first_file.paths[0] if first_file else None,
        digest=smallest.digest if smallest else None,
        bytes=smallest.bytes if smallest else 0,
    )
    view = RequestView(
        row=row_with_owner(session, transform),
        did=without_secrets(transform.did),
        dataset=titles_of(session, [dataset])[dataset.id] if dataset else without_secrets(transform.did),
        dataset_id=transform.dataset_id,
        codegen=transform.codegen,
        semantics=transform.semantics,
        result_format=transform.result_format,
        tree=transform.tree,
        partial=transform.partial,
        priority=transform.priority,
        upstream_id=transform.upstream_id,
        started=transform.start_time,
        query=query_text.shown(transform.selection, transform.codegen),
        totals=_totals(results),
        cutflow=_cutflow(transform, results),
        curve=throughput(_spans(session, transform)),
        warnings=tuple(dict.fromkeys(str(text) for result in results for text in result.warnings))[:20],
        files=file_table(session, transform, asked),
        can_cancel=transform.status in OPEN,
        can_retry=transform.status not in OPEN and transform.files_completed < max(transform.files, 1),
    )
    return view, subject


def _cutflow(transform: Transform, results: Sequence[Result]) -> tuple[Step, ...]:
    rows = summed([result.cutflow for result in results if result.cutflow])
    own = query_text.conditions(transform.selection, transform.codegen) if rows else {}
    shown = [(query_text.condition(text, own), passed) for text, passed in rows]
    return cutflow(sum(result.events_in or 0 for result in results), shown) if shown else ()


def _totals(results: Sequence[Result]) -> Totals:
    weights = [result.sum_of_weights for result in results if result.sum_of_weights is not None]
    return Totals(
        events_in=sum(result.events_in or 0 for result in results),
        events_out=sum(result.events_out for result in results),
        bytes_read=sum(result.bytes_read for result in results),
        bytes=sum(result.bytes for result in results),
        seconds=sum(result.seconds for result in results),
        reused=sum(result.reused for result in results),
        sum_of_weights=sum(weights) if weights else None,
    )


def _spans(session: Session, transform: Transform) -> list[tuple[datetime, datetime, int]]:
    ended = select(TransformFile.started_at, TransformFile.finished_at, Result.events_in).join(
        Result, Result.file_id == TransformFile.id
    )
    ran = TransformFile.transform_id == transform.id, Result.status == "success", Result.reused.is_(False)
    rows = session.execute(ended.where(*ran))
    return [(begin, end, events) for begin, end, events in rows if begin and end and events]
