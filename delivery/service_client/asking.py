"""A query on many files, where the service may refuse some of them."""

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from delivery.service_client.errors import RequestRefused
from delivery.service_client.records import Submission

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient


@dataclass(frozen=True, slots=True)
class Asked:
    """Files, and the id of the request that was made for them or why there is none."""

    files: tuple[str, ...]
    answer: str | RequestRefused


def ask(client: "ServiceClient", submission: Submission) -> list[Asked]:
    """Submit; a file that the service refuses takes none of the others with it.

    A refused list is cut in two until the halves are taken, or hold one file, or are both refused for the same reason
    as the whole: then it is the query that is refused.
    """
    return _settle(client, submission, _answer(client, submission))


def _settle(client: "ServiceClient", submission: Submission, answer: str | RequestRefused) -> list[Asked]:
    files = submission.files
    if isinstance(answer, str) or len(files) < 2:
        return [Asked(files, answer)]
    middle = len(files) // 2
    halves = [
        replace(submission, files=half, request_id=str(uuid.uuid4())) for half in (files[:middle], files[middle:])
    ]
    answers = [_answer(client, half) for half in halves]
    if all(isinstance(one, RequestRefused) and one.reason == answer.reason for one in answers):
        return [Asked(files, answer)]
    return [asked for half, one in zip(halves, answers, strict=True) for asked in _settle(client, half, one)]


def _answer(client: "ServiceClient", submission: Submission) -> str | RequestRefused:
    try:
        return client.submit(submission)
    except RequestRefused as error:
        return error
