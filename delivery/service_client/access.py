"""What lets a client in: nothing, a refresh token (as servicex.yaml holds), or an access token in a file."""

import json
import os
from collections.abc import Generator
from pathlib import Path

import httpx

BEARER_FILE = "BEARER_TOKEN_FILE"
"""Names a file with an access token, as for the official client; it goes before every other token."""


class Access(httpx.Auth):
    """Sends an access token with every call, and gets one from the refresh token when the call is refused without.

    url: the service's, without a slash at the end. token: the refresh token; empty where the service wants none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._url, self._refresh, self._access = f"{url}/token/refresh", token, ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The calls that one call takes."""
        bearer_file = os.environ.get(BEARER_FILE)
        if bearer_file:
            yield _with(request, Path(bearer_file).read_text().strip())
            return
        used = self._access
        answer = yield _with(request, used)
        if answer.status_code != httpx.codes.UNAUTHORIZED or not self._refresh:
            return
        if self._access == used:  # else another thread was quicker
            answer = yield _with(httpx.Request("POST", self._url), self._refresh)
            if not answer.is_success:
                return
            self._access = str(json.loads(answer.read())["access_token"])
        yield _with(request, self._access)


def _with(request: httpx.Request, token: str) -> httpx.Request:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request
