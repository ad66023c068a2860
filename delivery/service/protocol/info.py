"""What runs here, and how a client is told of it."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from delivery.service.context import Caller, Service, service_of
from delivery.service.protocol.configuration import with_new_token, with_placeholder
from delivery.service.protocol.models import Info
from delivery.service.protocol.wire import app_version, base_url, image
from delivery.service.settings import Settings
from delivery.service.sign_in.callers import caller

router = APIRouter(tags=["info"])

CAPABILITIES = ("poll_local_transformation_results", "post_cancel_transform", "skimflow_events")
"""The last is ours alone: by it our own client knows that what happens to a request is pushed to it."""


@router.get("/servicex", response_model=Info, dependencies=[Depends(caller)])
def info(service: Annotated[Service, Depends(service_of)]) -> dict[str, object]:
    """Version, codegens and capabilities; the official client asks this first."""
    titles = f"long_sample_titles_{service.settings.limits.title_characters}"
    return {
        "app-version": app_version(),
        "code-gen-image": images(service.settings),
        "capabilities": [*CAPABILITIES, titles],
    }


@router.get("/multiple-codegen-list", response_model=dict[str, str], dependencies=[Depends(caller)])
def codegens(service: Annotated[Service, Depends(service_of)]) -> dict[str, str]:
    """The codegens alone, as clients before 3.0 ask for them."""
    return images(service.settings)


_YAML: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}}


@router.get("/servicex.yaml", response_class=Response, responses=_YAML, dependencies=[Depends(caller)])
@router.get("/.servicex", response_class=Response, include_in_schema=False, dependencies=[Depends(caller)])
def configuration(request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """The official client's configuration for this service; where a token is needed, a word stands in its place."""
    return _downloaded(with_placeholder(service, base_url(request)))


@router.post("/servicex.yaml", response_class=Response, responses=_YAML)
def new_configuration(
    request: Request, service: Annotated[Service, Depends(service_of)], who: Annotated[Caller, Depends(caller)]
) -> Response:
    """The official client's configuration for this service, with a new token of the caller's where one is needed."""
    return _downloaded(with_new_token(service, base_url(request), who))


def images(settings: Settings) -> dict[str, str]:
    """What runs each codegen, by its name."""
    upstream = settings.upstream.codegens if settings.upstream else ()
    return {codegen: image(codegen) for codegen in (*settings.codegens, *upstream)}


def _downloaded(text: str) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="servicex.yaml"', "Cache-Control": "no-store"}
    return Response(text, media_type="application/yaml", headers=headers)
