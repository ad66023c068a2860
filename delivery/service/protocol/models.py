"""What goes over the wire: the body of a submission, and every answer, with ServiceX's own spellings.

Dashes and underscores are mixed as ServiceX mixes them (``request_id``, but ``files-completed``).
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Status = Literal["Submitted", "Pending Lookup", "Lookup", "Running", "Complete", "Fatal", "Canceled", "Bad Dataset"]


def _storable(text: str) -> str:
    """Refuse what no database holds as text."""
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a surrogate pair, which is no character") from error
    return text


Text = Annotated[str, AfterValidator(_storable)]


def _codegen(name: str) -> str:
    """Clients before 3.0 ask for the default one where their configuration has no type for an endpoint."""
    return "uproot" if name == "default" else name


def _dashed(name: str) -> str:
    return name.replace("_", "-")


class Dashed(BaseModel):
    """Fields are spelt with dashes, but where the field says otherwise."""

    model_config = ConfigDict(alias_generator=_dashed, validate_by_name=True, validate_by_alias=True)


class Submission(Dashed):
    """A transformation request. Other keys, which older clients send (image, workers, chunk-size), are ignored."""

    title: Text | None = Field(None, description="Name of the sample")
    did: Text | None = Field(None, description="scheme://name[?files=N]; this or file-list")
    file_list: list[Text] | None = Field(None, description="URLs, or paths below the service's input folders")
    selection: Text = Field(description="qastle, JSON or base64, as the codegen wants it")
    codegen: Annotated[Text, AfterValidator(_codegen)] = "uproot"
    result_destination: Literal["object-store", "volume"] = "object-store"
    result_format: Literal["parquet", "root-file", "root-rntuple", "raw-file"] = "parquet"
    tree_name: Text | None = None
    semantics: Literal["servicex", "strict"] = "servicex"
    partial: bool = Field(False, description="Complete although files failed; without it such a request ends as Fatal")
    priority: int = Field(0, ge=-100, le=100, description="Requests of higher priority run first")
    request_id: UUID | None = Field(
        None, description="The request's id, chosen by the client: sent again, it is the same request"
    )


class Message(BaseModel):
    """An error, or a word on what was done."""

    message: str


class RequestId(BaseModel):
    """Of the request that was made."""

    request_id: str


class Canceled(BaseModel):
    """Ids of the requests that were canceled."""

    canceled: list[str]


class Retried(BaseModel):
    """How many failed files run again."""

    request_id: str
    files: int


class Info(Dashed):
    """What runs here."""

    app_version: str
    code_gen_image: dict[str, str]
    capabilities: list[str]


class TransformStatus(Dashed):
    """All about a request; `minio-…` is where its results are, and the keys that open them and nothing else."""

    request_id: str = Field(alias="request_id")
    did: str
    did_id: int = Field(alias="did_id")
    title: str | None
    selection: str
    tree_name: str | None
    image: str
    workers: int | None
    codegen: str
    code_gen_image: str
    result_destination: str
    result_format: str
    generated_code_cm: str
    status: Status
    failure_info: str | None
    app_version: str
    files: int
    files_completed: int
    files_failed: int
    files_remaining: int | None
    submit_time: str
    finish_time: str | None
    total_events: int
    total_bytes: int
    semantics: str
    partial: bool
    priority: int
    version: int
    minio_endpoint: str
    minio_secured: bool
    minio_access_key: str
    minio_secret_key: str
    log_url: str


class TransformStatuses(BaseModel):
    """Requests, the latest first."""

    requests: list[TransformStatus]


class ResultRow(Dashed):
    """One file's result; `transform_status` is success or failure. Times are UTC without a zone."""

    id: int
    request_id: str
    file_id: int
    file_path: str
    transform_status: str = Field(alias="transform_status")
    transform_time: float = Field(alias="transform_time")
    total_events: int
    total_bytes: int
    avg_rate: float
    created_at: str = Field(alias="created_at")
    s3_object_name: str
    events_in: int | None
    cutflow: list[Any]
    warnings: list[Any]
    sum_of_weights: float | None
    bytes_read: int
    reused: bool
    sha256: str | None


class Results(BaseModel):
    """Results so far."""

    results: list[ResultRow]


class Statistics(Dashed):
    """Over a request's results: seconds, bytes, events, events per second."""

    min_time: float
    max_time: float
    avg_time: float
    total_time: float
    avg_rate: float
    total_bytes: int
    total_events: int


class Progress(Dashed):
    """The status as clients before 3.0 ask for it; they know Complete and Fatal as ends."""

    status: Status
    request_id: str
    submit_time: str
    finish_time: str | None
    files_completed: int
    files_processed: int
    files_failed: int
    files_skipped: int
    files_remaining: int | None
    stats: Statistics | None
    details: list[ResultRow] | None = None


class FileError(Dashed):
    """Why one file failed, as clients before 3.0 read it; `pod-name` is the worker that had it."""

    file: str
    pod_name: str | None
    events: int
    info: str


class FileErrors(BaseModel):
    """Of a request's failed files, in its order."""

    errors: list[FileError]


class FileRow(Dashed):
    """How far one file of a request is."""

    place: int
    paths: list[str]
    object_name: str
    state: Literal["waiting", "running", "done", "failed", "canceled"]
    attempts: int
    worker: str | None
    started_at: str | None
    finished_at: str | None
    events_done: int
    events_total: int | None
    error_kind: str | None
    error: str | None


class FileRows(BaseModel):
    """Files of a request, in its order."""

    files: list[FileRow]


class DatasetFileRow(BaseModel):
    """A file of a dataset; `paths` are its replicas, separated by commas."""

    id: int
    adler32: str | None
    file_size: int
    file_events: int
    paths: str


class DatasetRow(BaseModel):
    """A dataset that was looked up, or a list of files that was sent."""

    id: int
    name: str
    did_finder: str
    n_files: int
    size: int
    events: int
    last_used: str
    last_updated: str
    lookup_status: Literal["created", "looking", "complete", "does_not_exist", "bad_name", "internal_failure"]
    lookup_error: str | None
    is_stale: bool


class DatasetWithFiles(DatasetRow):
    """A dataset and its files."""

    files: list[DatasetFileRow]


class Datasets(BaseModel):
    """Datasets, the latest first."""

    datasets: list[DatasetRow]


class Stale(BaseModel):
    """The dataset is looked up anew when it is asked for again."""

    stale: bool


class FileUrls(BaseModel):
    """Which results are wanted as URLs."""

    request_id: Text
    file_list: list[Text] = Field(max_length=1000)
    scheme: Literal["http", "xrootd"] | None = None


class SignedUrls(BaseModel):
    """By object name: URL, headers to send with it, and when it ends (seconds since 1970)."""

    uris: dict[str, tuple[str, dict[str, str], int]]


class Deployment(Dashed):
    """The workers, as Kubernetes says it of a deployment."""

    replicas: int
    ready_replicas: int
    available_replicas: int
