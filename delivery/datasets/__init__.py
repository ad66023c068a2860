"""From a dataset's identifier to its files: globs, folders, CERN Open Data records, Rucio datasets.

    find_files("xrootd://root://host//data/run*/*.root?files=10", settings) -> FoundFiles

Modules: `identifier` reads a DID, pure; `patterns` walks folders by a glob, pure but for the folders' lister;
`local`, `xrootd`, `open_data` and `rucio_catalog` find the files of one kind; `finder` chooses among them;
`lookups` keeps what was found in the service's database.
"""

from delivery.datasets.errors import DatasetError, LookupStatus
from delivery.datasets.files import FoundFile, FoundFiles
from delivery.datasets.finder import check, expanded, find_files
from delivery.datasets.identifier import SCHEMES, Identifier, parse

__all__ = [
    "SCHEMES",
    "DatasetError",
    "FoundFile",
    "FoundFiles",
    "Identifier",
    "LookupStatus",
    "check",
    "expanded",
    "find_files",
    "parse",
]
