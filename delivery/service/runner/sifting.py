"""What can be said of a file before a worker has it: whether it may be read, and whether its result is there."""

import json
from collections.abc import Mapping
from dataclasses import replace

from artifacts.errors import ArtifactError
from artifacts.keys import canonical_json
from artifacts.store import Store
from delivery.identity import local_path, remembered
from delivery.service import inputs
from delivery.service.errors import BadRequest, Unavailable
from delivery.service.runner.flights import Waiter
from delivery.service.runner.jobs import Failed, Made
from delivery.service.runner.keys import made, result_request
from delivery.service.runner.requests import Running
from delivery.service.runner.verdicts import in_order
from delivery.service.settings import Settings
from delivery.urls import shown


def sift(
    waiter: Waiter, running: Running, memos: Mapping[str, str], store: Store, settings: Settings
) -> Made | Failed | None:
    """The result of a file that the store has, why the file may not be read, or None: it is to be made.

    Sets the waiter's ``path``, ``memo``, ``bytes`` and ``key``. Nothing is read but the store's entry and the file's
    metadata.
    """
    paths = in_order(waiter.paths, settings.inputs.site_replicas)
    waiter.path = paths[waiter.tried % len(paths)]
    try:
        waiter.path = inputs.check(waiter.path, settings)
    except BadRequest as error:
        return Failed("NotAllowed", f"{shown(waiter.path)} may not be read: {error}", "lasting")
    except Unavailable as error:
        return Failed("InputUnreachable", f"{shown(waiter.path)} cannot be reached: {error}", "passing")
    path = local_path(waiter.path)
    identity = remembered(path, memos) if path is not None else None
    if path is not None and path.is_file():
        waiter.bytes = path.stat().st_size
    if path is None or identity is None:
        waiter.key = f"{canonical_json(dict(running.shared))} {json.dumps(waiter.path)}"
        return None
    waiter.memo = memos[str(path.absolute())]
    request = result_request(running.shared, identity)
    waiter.key = request.key
    try:
        entry = store.get(request)
    except ArtifactError:
        return None  # the worker will meet it, too, and it is tried again then
    if entry is None:
        return None
    return replace(made(entry, reused=True), log=f"{shown(waiter.path)}: an equal request's result is used again")
