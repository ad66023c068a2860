"""What may happen to a request, its files and its results; each function is a part of the caller's transaction.

The laws that hold between any two transactions, whatever order the calls come in:

- a request's `files` are its waiting, running, done, failed and canceled ones; `files_completed` are the done ones and
  as many success results; `files_failed` are the failed ones and as many failure results;
- a request that knows its files is ended exactly if none of them waits or runs;
- object names are unique within a request, also as the official client writes them to disk;
- results of one request have rising `created_at`, in the order in which they were committed.

Who changes a request locks its row first and its files' rows after: PostgreSQL's writers then never meet in a circle.
Every change raises the request's `version`, and the changed files carry it.
"""

from delivery.service.state.ended import (
    deleted,
    expired,
    keys_of_one_only,
    least_recently_used,
    purge,
    touched,
)
from delivery.service.state.files import (
    Done,
    Outcome,
    Try,
    progress,
    record_attempts,
    record_done,
    record_done_files,
    record_failed,
    requeue,
    requeue_running,
    start_file,
    start_files,
)
from delivery.service.state.leases import acquire_lease, holds_lease, release_lease
from delivery.service.state.names import object_names
from delivery.service.state.requests import (
    ENDED,
    OPEN,
    cancel,
    cancel_all,
    delete,
    end,
    locked,
    retry,
    set_files,
    set_status,
    submit,
)
from delivery.service.state.views import (
    Statistics,
    attempts_of,
    by_request_id,
    count_by_status,
    count_files,
    count_listed,
    files_of,
    listed,
    results_of,
    statistics,
)

__all__ = [
    "ENDED",
    "OPEN",
    "Done",
    "Outcome",
    "Statistics",
    "Try",
    "acquire_lease",
    "attempts_of",
    "by_request_id",
    "cancel",
    "cancel_all",
    "count_by_status",
    "count_files",
    "count_listed",
    "delete",
    "deleted",
    "end",
    "expired",
    "files_of",
    "holds_lease",
    "keys_of_one_only",
    "least_recently_used",
    "listed",
    "locked",
    "object_names",
    "progress",
    "purge",
    "record_attempts",
    "record_done",
    "record_done_files",
    "record_failed",
    "release_lease",
    "requeue",
    "requeue_running",
    "results_of",
    "retry",
    "set_files",
    "set_status",
    "start_file",
    "start_files",
    "statistics",
    "submit",
    "touched",
]
