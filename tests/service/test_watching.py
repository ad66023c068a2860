"""One look at the database for all streams of a process."""

import asyncio
from collections.abc import Callable

from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.pages.watching import Watch
from delivery.service.tables import Transform


def test_a_change_between_a_streams_own_look_and_the_first_one_for_all_is_told(
    database: Database, new_request: Callable[..., Transform]
) -> None:
    """The first look for all cannot know what the stream saw; so it tells, and the stream looks again."""
    request_id = new_request().request_id
    changes = Changes()

    async def first_news() -> set[str]:
        with Watch(database, changes).watching(request_id, None) as watcher:
            return await watcher.changed(30)

    try:
        assert asyncio.run(first_news()) == {request_id}
    finally:
        changes.close()
