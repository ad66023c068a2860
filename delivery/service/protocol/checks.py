"""Whether a submission can be run, as far as can be told without opening a file."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from delivery import datasets
from delivery.engine.raw.request import parse_selection
from delivery.errors import DeliveryError, UnsupportedNode, nearest
from delivery.service import inputs
from delivery.service.errors import BadRequest
from delivery.service.protocol.models import Submission
from delivery.service.protocol.wire import FILE_LIST
from delivery.service.settings import CODEGENS, Limits, Settings
from delivery.urls import shown
from queries import QuerySyntaxError, canonical, parse
from queries.syntax import Call, Linq, Name, Node

_BRACKETS = re.compile(r"""'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[(\[{]|[)\]}]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """Which files a request reads: the dataset's name and kind, its `files` if the request brings them itself."""

    did: str
    name: str
    did_finder: str
    files: tuple[str, ...] | None = None
    max_files: int | None = None


def runs_upstream(submission: Submission, settings: Settings) -> bool:
    """Whether another ServiceX runs this codegen for us.

    Raises BadRequest, which names the codegens of this service, if nobody does.
    """
    codegen, here = submission.codegen, settings.codegens
    upstream = settings.upstream.codegens if settings.upstream else ()
    if codegen in here:
        return False
    if codegen in upstream:
        return True
    runs = f"this endpoint runs {', '.join((*here, *upstream))}"
    if codegen in CODEGENS:
        raise BadRequest(f"codegen {codegen!r} is switched off: {runs}; its operator can switch it on (codegens)")
    near = nearest(codegen, (*here, *upstream))
    hint = f"did you mean {near[0]}?" if near else "its operator can name a ServiceX that runs others (upstream)"
    raise BadRequest(f"codegen {codegen[:200]!r} does not run here: {runs}; {hint}")


def check_request(submission: Submission, limits: Limits) -> None:
    """The parts of a submission that go for every codegen. Raises BadRequest."""
    title, wanted = submission.title or "", submission.result_format
    if len(title) > limits.title_characters:
        raise BadRequest(f"the title has {len(title)} characters, it may have {limits.title_characters}")
    if submission.result_destination != "object-store":
        raise BadRequest("this endpoint delivers to its object store only: result-destination must be 'object-store'")
    if wanted == "raw-file" and submission.codegen != "python":
        raise BadRequest(
            "result-format 'raw-file' is of codegen 'python' alone; use parquet, root-file or root-rntuple"
        )
    if len(submission.selection) > limits.query_characters:
        found, allowed = len(submission.selection), limits.query_characters
        raise BadRequest(f"the selection has {found:,} characters, it may have {allowed:,}")


def check_selection(codegen: str, text: str, limits: Limits) -> None:
    """The query itself. Raises BadRequest with its place in the query and what to do."""
    if codegen == "python":
        _check_source(text)
        return
    if depth(text) > limits.query_depth:
        raise BadRequest(f"the query is nested {depth(text)} levels deep, it may be {limits.query_depth}")
    try:
        if codegen == "uproot-raw":
            parse_selection(text)
        else:
            _check_begin(canonical(parse(text)), text)
    except (QuerySyntaxError, DeliveryError) as error:
        raise BadRequest(str(error)) from error


def depth(text: str) -> int:
    """How deep brackets are nested, those in strings aside."""
    deepest = level = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in "([{":
            level += 1
            deepest = max(deepest, level)
        elif token[0] in ")]}":
            level -= 1
    return deepest


def source_of(submission: Submission, settings: Settings, limits: Limits) -> Source:
    """Which files are asked for; each path or URL is one that may be read. Raises BadRequest, Unavailable."""
    did, files = submission.did, submission.file_list
    _check_one_source(submission)
    if files:
        return _listed(files, settings, limits)
    return _looked_up(did or "", settings)


def forwarded_source(submission: Submission, limits: Limits) -> Source:
    """Which files are asked for where another ServiceX reads them, by its own rules. Raises BadRequest."""
    _check_one_source(submission)
    files = submission.file_list or ()
    if not files:
        try:
            identifier = datasets.parse(submission.did or "")
        except datasets.DatasetError as error:
            raise BadRequest(str(error)) from error
        return Source(submission.did or "", identifier.dataset, identifier.scheme, max_files=identifier.files)
    if len(files) > limits.files:
        raise BadRequest(f"the file-list has {len(files):,} files, it may have {limits.files:,}; split the sample")
    return Source(FILE_LIST, sha256("\n".join(files).encode()).hexdigest(), "user", tuple(dict.fromkeys(files)))


def _check_one_source(submission: Submission) -> None:
    if bool(submission.did) == bool(submission.file_list):
        given = "both" if submission.did else "neither"
        raise BadRequest(f"a request needs either a did or a file-list with at least one file, this one has {given}")


def _check_source(text: str) -> None:
    """The source of a function is not parsed here: even that is left to the child that runs it."""
    try:
        content = base64.b64decode(text, validate=True)
        content.decode("ascii")
    except (binascii.Error, ValueError) as error:
        reason = "the selection of codegen 'python' must be base64 of a function's ASCII source"
        raise BadRequest(f"{reason}: {error}") from error
    if b"run_query" not in content:
        raise BadRequest("the source defines no run_query(input_filenames), which codegen 'python' calls")


def _check_begin(node: Node, text: str) -> None:
    """A query is a chain of operators on EventDataset."""
    while isinstance(node, Linq) or (isinstance(node, Call) and node.func != Name("EventDataset") and node.args):
        node = node.source if isinstance(node, Linq) else node.args[0]
    if not (isinstance(node, Call) and node.func == Name("EventDataset")):
        raise UnsupportedNode("a query must be a chain of operators on EventDataset", text, node.span)


def _listed(files: Sequence[str], settings: Settings, limits: Limits) -> Source:
    """A request's own files, patterns among them replaced by what they stand for."""
    if len(files) <= limits.files:
        try:
            files = datasets.expanded(files, settings)
        except datasets.DatasetError as error:
            raise BadRequest(str(error)) from error
    if len(files) > limits.files:
        raise BadRequest(f"the file-list has {len(files):,} files, it may have {limits.files:,}; split the sample")
    checked = inputs.check_all(files, settings)
    if not checked:
        raise BadRequest("no file fits the patterns of the file-list")
    (file, times), *_ = Counter(checked).most_common(1)
    if times > 1:
        raise BadRequest(f"the file-list has {shown(file)} {times} times; its events would count {times} times")
    name = sha256("\n".join(checked).encode()).hexdigest()
    return Source(FILE_LIST, name, "user", tuple(checked))


def _looked_up(did: str, settings: Settings) -> Source:
    try:
        identifier = datasets.parse(did)
        datasets.check(identifier, settings)
    except datasets.DatasetError as error:
        raise BadRequest(str(error)) from error
    return Source(did, identifier.dataset, identifier.scheme, max_files=identifier.files)
