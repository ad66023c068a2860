"""The pages' routes. Each page has a JSON twin at the same path with ``.json`` behind it: the view, undrawn."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response

from delivery.service.context import Caller, Service, service_of
from delivery.service.pages import (
    actions,
    dataset_view,
    events,
    getting_started,
    listing,
    request_files,
    request_view,
    site_view,
)
from delivery.service.pages.columns import columns_of
from delivery.service.pages.rendering import HEADERS, asset, page
from delivery.service.protocol.wire import base_url
from delivery.service.sign_in.callers import admin, caller, limits


@dataclass(frozen=True, slots=True)
class Visit:
    """A call of a page: of which service, by whom."""

    request: Request
    service: Service
    who: Caller


def visit(request: Request, who: Annotated[Caller, Depends(caller)]) -> Visit:
    """The call, by whoever may call."""
    return Visit(request, service_of(request), who)


def admins_visit(request: Request, who: Annotated[Caller, Depends(admin)]) -> Visit:
    """The call, by an admin. Raises NotAllowed."""
    return Visit(request, service_of(request), who)


At = Annotated[Visit, Depends(visit)]
RequestId = Annotated[str, Path(max_length=100)]


router: Final = APIRouter(include_in_schema=False)
_drawn: Final = APIRouter()
_twins: Final = APIRouter()

View = Callable[..., Any]


def shown_at(path: str, template: str, *, twin: str | None = None) -> Callable[[View], View]:
    """Serve a view at a path as a page, and as JSON at the path with ``.json`` (or at `twin`)."""

    def register(view: View) -> View:
        @wraps(view)
        def drawing(**given: Any) -> Response:
            at: Visit = given["at"]
            return page(at.request, template, at.who, view(**given))

        _twins.add_api_route(twin or f"{path}.json", view, methods=["GET"], response_model=None)
        _drawn.add_api_route(path, drawing, methods=["GET"], response_model=None)
        return view

    return register


@shown_at("/", "requests.html", twin="/index.json")
@shown_at("/dashboard", "requests.html")
def requests(at: At, asked: Annotated[listing.Asked, Depends(listing.asked)]) -> listing.RequestList:
    """The requests."""
    with at.service.database.reading() as session:
        return listing.request_list(session, at.who, asked, signs_in=at.service.settings.needs_sign_in)


FilesAsked = Annotated[request_files.FilesAsked, Depends(request_files.files_asked)]


@shown_at("/transformation-request/{request_id}", "request.html")
def request_page(at: At, request_id: RequestId, asked: FilesAsked) -> dict[str, Any]:
    """One request; while it is open also what keeps the workers from it, if something does."""
    with at.service.database.reading() as session:
        view, subject = request_view.request_view(session, at.who, request_id, asked)
    problem = at.service.runner.health().get("problem") if view.row.open else None
    return {
        "request": view,
        "columns": columns_of(subject, at.service.store, at.service.settings),
        "problem": problem,
    }


@shown_at("/transformation-request/{request_id}/results", "results.html")
def results_page(at: At, request_id: RequestId, asked: FilesAsked) -> request_files.ResultsView:
    """What came of each file; the official client prints this page's address when files failed."""
    with at.service.database.reading() as session:
        return request_files.results_view(session, at.who, request_id, asked)


@shown_at("/transformation-request/{request_id}/logs", "logs.html")
def logs_page(at: At, request_id: RequestId, asked: FilesAsked) -> request_files.LogView:
    """What the files' runs said; a status's log-url leads here."""
    with at.service.database.reading() as session:
        return request_files.log_view(session, at.who, request_id, asked)


@_drawn.get("/transformation-request/{request_id}/downloads.{form}")
def downloads(at: At, request_id: RequestId, form: Annotated[str, Path(pattern="^(txt|sh)$")]) -> Response:
    """All results as a list of URLs, or as commands for a shell."""
    with at.service.database.reading() as session:
        found = request_files.downloads(session, at.who, request_id)
    text = getting_started.download_list(base_url(at.request), found, form, signs_in=at.service.settings.needs_sign_in)
    return PlainTextResponse(text, headers=dict(HEADERS))


@shown_at("/datasets", "datasets.html")
def datasets(
    at: At, deleted: Annotated[bool, Query()] = False, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> dataset_view.DatasetList:
    """The datasets."""
    with at.service.database.reading() as session:
        return dataset_view.dataset_list(session, at.who, dataset_view.DatasetsAsked(deleted, page))


@shown_at("/datasets/{dataset_id}", "dataset.html")
def dataset(at: At, dataset_id: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> dataset_view.DatasetView:
    """One dataset."""
    with at.service.database.reading() as session:
        return dataset_view.dataset_view(session, at.who, dataset_id)


@shown_at("/workers", "workers.html")
def workers(at: At) -> site_view.WorkersView:
    """The workers."""
    return site_view.workers_view(at.service.runner.workers(), at.service.runner.health())


@shown_at("/cache", "cache.html")
def cache(at: At) -> site_view.CacheView:
    """What is kept for whoever asks for it again."""
    settings = at.service.settings
    with at.service.database.reading() as session:
        return site_view.cache_view(session, at.service.store, settings.result_bytes, settings.result_days)


@shown_at("/users", "users.html")
def users(at: Annotated[Visit, Depends(admins_visit)]) -> site_view.UserList:
    """All users; for admins."""
    with at.service.database.reading() as session:
        return site_view.user_list(session)


@shown_at("/profile", "profile.html")
def profile(at: At) -> site_view.ProfileView:
    """The caller."""
    with at.service.database.reading() as session:
        return site_view.profile_view(session, at.who, limits(at.request), signs_in=at.service.settings.needs_sign_in)


@shown_at("/getting-started", "getting_started.html")
def start(at: At) -> getting_started.Guide:
    """How to use this very server."""
    return getting_started.guide(base_url(at.request), at.service.settings)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """A stylesheet, a script or a picture of the pages."""
    return asset(name)


_drawn.include_router(actions.router)
for part in (_twins, _drawn, events.router):
    router.include_router(part)
