"""What can go wrong while columns are delivered.

    DeliveryError
    ├── QueryFault             the query is wrong, as is known before any event is read
    │   ├── UnsupportedNode, DepthMismatch, BadLiteral, UnknownName, NotAFunction, UnwritableType
    ├── UnknownBranch          the query names columns that the tree lacks
    ├── UnknownTree
    ├── DataFault              the data of some event does not allow what the query asks
    │   ├── LengthMismatch, EmptyList, ResultTooLarge
    ├── UnreadableFile
    │   ├── MissingFile, NotARootFile, TruncatedFile, CorruptBasket, InputUnreachable, OutOfMemory
    ├── OutputUnwritable
    └── of services and workers: UnknownEndpoint, EndpointUnreachable, NotAuthorized, RequestFailed (MissingResult),
        NoWorkers, WorkerDiffers, WorkerKilled

Every error keeps its parts as attributes, so that a program can ask for them instead of reading the sentence, and
pickles (errors cross process borders). Files and services are kept as `shown`: errors are printed, logged and put into
reports, where a token has no business. `to_json` is the form for programs.
"""

from delivery.errors.base import DeliveryError, to_json
from delivery.errors.endpoints import (
    EndpointUnreachable,
    MissingResult,
    NotAuthorized,
    NoWorkers,
    RequestFailed,
    UnknownEndpoint,
    WorkerDiffers,
    WorkerKilled,
)
from delivery.errors.excerpts import describe_near, excerpt, location, nearest
from delivery.errors.files import (
    CorruptBasket,
    InputUnreachable,
    MissingFile,
    NotARootFile,
    OutOfMemory,
    OutputUnwritable,
    TruncatedFile,
    UnknownTree,
    UnreadableFile,
)
from delivery.errors.queries import (
    BadLiteral,
    DataFault,
    DepthMismatch,
    EmptyList,
    LengthMismatch,
    NotAFunction,
    QueryFault,
    ResultTooLarge,
    UnknownBranch,
    UnknownName,
    UnsupportedNode,
    UnwritableType,
)

__all__ = [
    "BadLiteral",
    "CorruptBasket",
    "DataFault",
    "DeliveryError",
    "DepthMismatch",
    "EmptyList",
    "EndpointUnreachable",
    "InputUnreachable",
    "LengthMismatch",
    "MissingFile",
    "MissingResult",
    "NoWorkers",
    "NotAFunction",
    "NotARootFile",
    "NotAuthorized",
    "OutOfMemory",
    "OutputUnwritable",
    "QueryFault",
    "RequestFailed",
    "ResultTooLarge",
    "TruncatedFile",
    "UnknownBranch",
    "UnknownEndpoint",
    "UnknownName",
    "UnknownTree",
    "UnreadableFile",
    "UnsupportedNode",
    "UnwritableType",
    "WorkerDiffers",
    "WorkerKilled",
    "describe_near",
    "excerpt",
    "location",
    "nearest",
    "to_json",
]
