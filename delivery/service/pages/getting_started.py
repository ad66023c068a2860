"""What someone needs to use this very server: a configuration, a first query, commands; as text to copy."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from delivery.service.protocol.configuration import PLACEHOLDER, servicex_yaml
from delivery.service.settings import Settings

_SELECTION: Final = (
    "(Select (call EventDataset 'bogus.root' 'Events') (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"
)
"""The first query in the words of the protocol."""


@dataclass(frozen=True, slots=True)
class Guide:
    """Texts to copy; `codegens` are what runs here, `inputs` what is read."""

    endpoint: str
    install: str
    configuration: str
    first_query: str
    curl: str
    skimflow: str
    codegens: tuple[str, ...]
    upstream: tuple[str, ...]
    inputs: tuple[str, ...]
    needs_token: bool


def guide(base: str, settings: Settings) -> Guide:
    """The texts for the server that is reached at `base`."""
    file = f"{settings.inputs.roots[0]}/events.root" if settings.inputs.roots else "https://example.org/events.root"
    return Guide(
        endpoint=base,
        install="pip install servicex",
        configuration=servicex_yaml(base, PLACEHOLDER if settings.needs_sign_in else None),
        first_query=_first_query(file),
        curl=_curl(base, file, signs_in=settings.needs_sign_in),
        skimflow=_commands(file),
        codegens=settings.codegens,
        upstream=settings.upstream.codegens if settings.upstream else (),
        inputs=(
            *(f"files below {root}" for root in settings.inputs.roots),
            *(f"{s}://" for s in settings.inputs.schemes),
        ),
        needs_token=settings.needs_sign_in,
    )


def download_list(base: str, found: Sequence[tuple[str, str, int]], form: str, *, signs_in: bool) -> str:
    """The results' URLs, one a line (txt), or a shell script that fetches them (sh)."""
    if form == "txt":
        return "".join(f"{base}{path}\n" for _, path, _ in found)
    header = ' -H "Authorization: Bearer $TOKEN"' if signs_in else ""
    lines = ["#!/bin/sh", "set -e"]
    if signs_in:
        lines += [': "${TOKEN:?set TOKEN to an access token}"']
    lines += [
        f"curl -fsS{header} -o {shlex.quote(_file_name(name))} {shlex.quote(base + path)}" for name, path, _ in found
    ]
    return "\n".join(lines) + "\n"


def _file_name(object_name: str) -> str:
    """As the official client names it."""
    for character in "*;:":
        object_name = object_name.replace(character, "_")
    return object_name


def _first_query(file: str) -> str:
    return f"""from servicex import deliver, query, dataset

spec = {{
    "General": {{"OutputFormat": "parquet"}},
    "Sample": [
        {{
            "Name": "first",
            "Dataset": dataset.FileList([{file!r}]),
            "Query": query.FuncADL_Uproot()
            .FromTree("Events")
            .Where(lambda e: e.MET_pt > 20)
            .Select(lambda e: {{"met": e.MET_pt, "jet_pt": e.Jet_pt}}),
        }}
    ],
}}
files = deliver(spec)["first"]
"""


def _commands(file: str) -> str:
    """The commands find the endpoint, and the token, in servicex.yaml."""
    return (
        f"skimflow submit {shlex.quote(file)} --title first --output first \\\n"
        f'  --selection "{_SELECTION}"\n'
        "skimflow requests list\n"
    )


def _curl(base: str, file: str, *, signs_in: bool) -> str:
    body = {
        "title": "first",
        "file-list": [file],
        "selection": _SELECTION,
        "codegen": "uproot",
        "result-format": "parquet",
    }
    header = ' -H "Authorization: Bearer $TOKEN"' if signs_in else ""
    return (
        f"curl -s {base}/servicex/transformation{header} -H 'Content-Type: application/json' -d @- <<'END'\n"
        f"{json.dumps(body, indent=2)}\nEND\n"
        f"# the answer names the request; watch it:\n"
        f"curl -N{header} {base}/servicex/transformation/REQUEST_ID/events\n"
    )
