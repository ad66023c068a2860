"""What runs here, and how a client is told of it."""

from typing import Annotated
from urllib.parse import urlsplit

import yaml
from fastapi import APIRouter, Depends, Request, Response

from delivery.service.context import Caller, Service, service_of
from delivery.service.protocol.models import Info
from delivery.service.protocol.wire import app_version, base_url, image
from delivery.service.settings import Settings
from delivery.service.sign_in.callers import caller
from delivery.service.sign_in.users import new_token
from delivery.service.tables import User

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


@router.get(
    "/servicex.yaml",
    response_class=Response,
    responses={200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}},
)
@router.get("/.servicex", response_class=Response, include_in_schema=False)
def configuration(
    request: Request, service: Annotated[Service, Depends(service_of)], who: Annotated[Caller, Depends(caller)]
) -> Response:
    """The official client's configuration for this service; with a new token of the caller's where one is needed."""
    url = base_url(request)
    name = urlsplit(url).hostname or "skimflow"
    endpoint = {"name": name, "type": "uproot", "endpoint": url}  # clients before 3.0 find an endpoint by its type
    if service.settings.needs_sign_in:
        endpoint["token"] = _token(service, who)
    content = {"api_endpoints": [endpoint], "default_endpoint": name}
    text = (
        "# Configuration of the ServiceX client for this service.\n"
        "# Keep it as servicex.yaml where you work, in a folder above, or in your home folder.\n"
        + ("# Whoever has the token is you: let nobody else read this file.\n" if "token" in endpoint else "")
        + yaml.safe_dump(content, sort_keys=False)
    )
    headers = {"Content-Disposition": 'attachment; filename="servicex.yaml"', "Cache-Control": "no-store"}
    return Response(text, media_type="application/yaml", headers=headers)


def images(settings: Settings) -> dict[str, str]:
    """What runs each codegen, by its name."""
    upstream = settings.upstream.codegens if settings.upstream else ()
    return {codegen: image(codegen) for codegen in (*settings.codegens, *upstream)}


def _token(service: Service, who: Caller) -> str:
    with service.database.session() as session:
        return new_token(session, session.get_one(User, who.user_id), service.secret.signing_key)[1]
