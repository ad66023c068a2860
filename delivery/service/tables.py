"""The service's state, all of it: what a restart finds here is what goes on.

Times are UTC without a zone, as ServiceX answers them. No secret is kept: of tokens only their number, of passwords
nothing, and the store's keys of a request are worked out from the service's own secret (`delivery.service.secrets`).
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING: Final = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

NEVER_AGAIN: Final = {"sqlite_autoincrement": True}
"""SQLite would give a removed row's number to the next one: a late result would be counted for another file."""


def utc_now() -> datetime:
    """This moment in UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, int: BigInteger().with_variant(Integer, "sqlite")}  # noqa: RUF012


class User(Table):
    """Who may sign in. `tokens_from` is raised to revoke: a refresh token with a smaller number is void."""

    __tablename__ = "users"
    __table_args__ = NEVER_AGAIN

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    email: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(20), default="user")  # user | admin
    active: Mapped[bool] = mapped_column(default=True)
    tokens_from: Mapped[int] = mapped_column(default=0)
    last_token: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    quota: Mapped[dict[str, Any]] = mapped_column(default=dict)  # limits that differ from the settings' own, by name


class Dataset(Table):
    """A named list of files. Those of users' own lists are named by the SHA-256 of the list."""

    __tablename__ = "datasets"
    __table_args__ = (Index("ix_datasets_name_stale", "name", "stale"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    did_finder: Mapped[str] = mapped_column(String(40))  # user | xrootd | cernopendata | rucio | glob
    lookup_status: Mapped[str] = mapped_column(String(40), default="created")
    lookup_error: Mapped[str | None] = mapped_column(Text)
    n_files: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(default=0)
    events: Mapped[int] = mapped_column(default=0)
    stale: Mapped[bool] = mapped_column(default=False)
    last_used: Mapped[datetime] = mapped_column(default=utc_now)
    last_updated: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetFile(Table):
    """A file of a dataset; `paths` are its replicas in the order in which they are tried."""

    __tablename__ = "dataset_files"
    __table_args__ = (UniqueConstraint("dataset_id", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    place: Mapped[int]
    paths: Mapped[list[Any]]
    adler32: Mapped[str | None] = mapped_column(String(16))
    size: Mapped[int] = mapped_column(default=0)
    events: Mapped[int] = mapped_column(default=0)


class Transform(Table):
    """A transformation request. `target` is what was asked for last; the reconciler makes `status` follow it.

    `version` is raised by every change of the row or of its files' states: who watches, watches it.
    """

    __tablename__ = "transforms"
    __table_args__ = (
        Index("ix_transforms_status", "status"),
        Index("ix_transforms_owner", "owner_id", "id"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(String(36), unique=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str | None] = mapped_column(Text)
    did: Mapped[str] = mapped_column(Text)
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("datasets.id"))
    max_files: Mapped[int | None]  # of the dataset, the first so many (?files=N)
    selection: Mapped[str] = mapped_column(Text)
    codegen: Mapped[str] = mapped_column(String(40))
    semantics: Mapped[str] = mapped_column(String(20), default="servicex")
    tree: Mapped[str | None] = mapped_column(Text)
    result_destination: Mapped[str] = mapped_column(String(40))
    result_format: Mapped[str] = mapped_column(String(40))
    partial: Mapped[bool] = mapped_column(default=False)
    priority: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(20), default="Submitted")
    target: Mapped[str] = mapped_column(String(20), default="Complete")  # Complete | Canceled | Deleted
    submit_time: Mapped[datetime] = mapped_column(default=utc_now)
    start_time: Mapped[datetime | None]
    finish_time: Mapped[datetime | None]
    last_used: Mapped[datetime] = mapped_column(default=utc_now)
    files: Mapped[int] = mapped_column(default=0)
    files_completed: Mapped[int] = mapped_column(default=0)
    files_failed: Mapped[int] = mapped_column(default=0)
    total_events: Mapped[int] = mapped_column(default=0)
    total_bytes: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None] = mapped_column(Text)
    upstream_id: Mapped[str | None] = mapped_column(String(100))  # the request at the service that it was forwarded to
    version: Mapped[int] = mapped_column(default=0)


class TransformFile(Table):
    """One file of a request: its state, and what came of it.

    `version` is the request's own at this row's last change: who watches reads only the rows above what it has seen.
    """

    __tablename__ = "transform_files"
    __table_args__ = (
        UniqueConstraint("transform_id", "place"),
        UniqueConstraint("transform_id", "object_name"),
        Index("ix_transform_files_state", "state", "transform_id"),
        Index("ix_transform_files_version", "transform_id", "version"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    transform_id: Mapped[int] = mapped_column(ForeignKey("transforms.id", ondelete="CASCADE"))
    place: Mapped[int]
    paths: Mapped[list[Any]]  # replicas
    object_name: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(20), default="waiting")  # waiting running done failed canceled
    attempts: Mapped[int] = mapped_column(default=0)
    kills: Mapped[int] = mapped_column(default=0)  # workers that died while it ran alone on them
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]  # a retry waits until then
    worker: Mapped[str | None] = mapped_column(String(200))
    events_done: Mapped[int] = mapped_column(default=0)  # of `events_total`, while it runs
    events_total: Mapped[int | None]
    error_kind: Mapped[str | None] = mapped_column(String(80))
    error: Mapped[str | None] = mapped_column(Text)
    log: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int] = mapped_column(default=0)


class Attempt(Table):
    """One try at a file, ended."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("transform_files.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    path: Mapped[str] = mapped_column(Text)
    worker: Mapped[str | None] = mapped_column(String(200))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime] = mapped_column(default=utc_now)
    outcome: Mapped[str] = mapped_column(String(20))  # done | reused | failed | lost | canceled
    error_kind: Mapped[str | None] = mapped_column(String(80))
    error: Mapped[str | None] = mapped_column(Text)


class Result(Table):
    """A file's result; one at most per file. Its bytes are the blob `digest` of the store's entry `key`."""

    __tablename__ = "results"
    __table_args__ = (Index("ix_results_created", "transform_id", "created_at"), Index("ix_results_key", "key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    transform_id: Mapped[int] = mapped_column(ForeignKey("transforms.id", ondelete="CASCADE"))
    file_id: Mapped[int] = mapped_column(ForeignKey("transform_files.id", ondelete="CASCADE"), unique=True)
    file_path: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))  # success | failure
    object_name: Mapped[str] = mapped_column(String(255))
    key: Mapped[str | None] = mapped_column(String(64))
    digest: Mapped[str | None] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(default=0)
    events_in: Mapped[int | None]
    events_out: Mapped[int] = mapped_column(default=0)
    bytes_read: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    reused: Mapped[bool] = mapped_column(default=False)
    cutflow: Mapped[list[Any]] = mapped_column(default=list)  # [text, passed] pairs
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    sum_of_weights: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class FileIdentity(Table):
    """Which bytes a file held when last looked at: digest by path and by what its metadata was then."""

    __tablename__ = "file_identities"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    stamp: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]


class Lease(Table):
    """Who of several service processes does what only one may do, and until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100))
    expires_at: Mapped[datetime]
