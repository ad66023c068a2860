"""Two hundred requests as one client process makes them, and what must be true of them afterwards.

`python workload.py PLAN.json` submits every request of the plan, waits for its end, brings its results, and writes a
line of what came to the plan's `outcomes`; started again after kill -9, it goes on. A request is the same one then: its
id is in the plan.
"""

import asyncio
import hashlib
import json
import random
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))

SEEN_SECONDS = 90.0
"""So long the official client, which by itself waits for ever, may take to look."""

CUTS = (-0.5, 0.0, 0.5, 1.0)
QUERY = "DS.Where(lambda e: e.x > {cut}).Select(lambda e: {{'x': e.x, 'n': e.n}})"


@dataclass(frozen=True)
class Asked:
    """One request of the plan; ``url`` is the service process that it goes to."""

    request_id: str
    url: str
    query: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What the client does; ``results`` and ``outcomes`` are where it leaves things."""

    requests: tuple[Asked, ...]
    results: Path
    outcomes: Path
    threads: int = 24

    def write(self, path: Path) -> Path:
        """For `main`."""
        path.write_text(json.dumps(asdict(self), default=str))
        return path

    def came(self) -> dict[str, dict[str, Any]]:
        """The outcome of each request that has one."""
        lines = self.outcomes.read_bytes().split(b"\n") if self.outcomes.exists() else []
        rows = (json.loads(line) for line in lines if line.endswith(b"}"))
        return {row["id"]: row for row in rows}


def main(path: str) -> None:
    """Go through the plan."""
    from delivery.service_client.client import ServiceClient

    known = json.loads(Path(path).read_text())
    plan = Plan(
        tuple(Asked(**{**one, "files": tuple(one["files"])}) for one in known["requests"]),
        Path(known["results"]),
        Path(known["outcomes"]),
        known["threads"],
    )
    clients = {url: ServiceClient(url) for url in {one.url for one in plan.requests}}
    done = plan.came()
    with ThreadPoolExecutor(plan.threads) as pool, plan.outcomes.open("ab", buffering=0) as outcomes:
        outcomes.write(b"\n")  # what kill -9 cut short ends here

        def ask(one: Asked) -> None:
            try:
                row = _asked(clients[one.url], one, plan.results)
            except Exception as error:  # noqa: BLE001 - it is looked at afterwards
                row = {"id": one.request_id, "status": "no answer", "failure": f"{type(error).__name__}: {error}"}
            outcomes.write(json.dumps(row).encode() + b"\n")

        list(pool.map(ask, [one for one in plan.requests if one.request_id not in done]))


def _asked(client: Any, one: Asked, results: Path) -> dict[str, Any]:
    from delivery.service_client.records import Submission

    request_id = client.submit(Submission(one.query, one.files, request_id=one.request_id))
    status = None
    for update in client.watch(request_id):
        status = update.status
    files = {}
    for result in client.results(request_id):
        path = client.download(request_id, result, results / request_id / hashed(result.object_name))
        files[result.path] = hashlib.sha256(path.read_bytes()).hexdigest()
    states = {file.path: file.error for file in client.files(request_id)}
    return {"id": request_id, "status": status.status, "failure": status.failure, "results": files, "files": states}


def hashed(name: str) -> str:
    """A short name for a file."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Load:
    """Small files of one seed, requests for them, and the bytes that each of these must come to.

    ``digests`` is by query and file; it was made without any service.
    """

    plan: Plan
    digests: Mapping[tuple[str, str], str]

    def faults(self, database: Any, may_fail: str | None = None) -> Iterator[str]:
        """What is wrong, one sentence each; ``may_fail``: requests may end Fatal if their reason has this word."""
        came = self.plan.came()
        for one in self.plan.requests:
            outcome = came.get(one.request_id)
            if outcome is None:
                yield f"{one.request_id}: no outcome"
            elif outcome["status"] == "Complete":
                yield from self._wrong_bytes(one, outcome["results"], set(one.files))
            elif may_fail is not None and outcome["status"] == "Fatal" and may_fail in outcome["failure"]:
                failed = {file for file, error in outcome["files"].items() if may_fail in error}
                yield from self._wrong_bytes(one, outcome["results"], set(one.files) - failed)
            else:
                yield f"{one.request_id}: ended {outcome['status']}: {outcome['failure']}"
        yield from wrong_counters(database, [one.request_id for one in self.plan.requests])

    def _wrong_bytes(self, one: Asked, results: Mapping[str, str], wanted: set[str]) -> Iterator[str]:
        if set(results) != wanted:
            yield f"{one.request_id}: has {sorted(results)}, not {sorted(wanted)}"
        for file, digest in results.items():
            if digest != self.digests[one.query, file]:
                yield f"{one.request_id}: other bytes for {file}"


def make_load(
    folder: Path, inputs: Path, urls: Sequence[str], inputs_url: str, *, requests: int, files: int, seed: int
) -> Load:
    """Write the files below `inputs` and work out what must come; every tenth file is asked for by its URL."""
    from engine_inputs import qastle_text
    from runner_service import small_file

    rng = random.Random(seed)
    place = inputs / f"seed-{seed}"
    place.mkdir(parents=True)
    paths = [small_file(place / f"file-{number}.root", 300, seed=seed * 10_000 + number) for number in range(files)]
    names = [
        f"{inputs_url}/{path.relative_to(inputs)}" if number % 10 == 0 else str(path)
        for number, path in enumerate(paths)
    ]
    queries = [qastle_text(QUERY.format(cut=cut)) for cut in CUTS]
    asked = tuple(
        Asked(
            request_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            url=urls[number % len(urls)],
            query=rng.choice(queries),
            files=tuple(rng.sample(names, 2)),
        )
        for number in range(requests)
    )
    plan = Plan(asked, folder / f"results-{seed}", folder / f"outcomes-{seed}.jsonl")
    by_name = dict(zip(names, paths, strict=True))
    pairs = {(one.query, file) for one in asked for file in one.files}
    return Load(plan, {(query, file): engine_digest(query, by_name[file]) for query, file in pairs})


def engine_digest(query: str, file: Path) -> str:
    """SHA-256 of what the engine writes, run here."""
    from delivery import engine
    from delivery.requests import TransformRequest

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        engine.transform(TransformRequest(text=query, input=str(file), output=output, format="parquet"))
        return hashlib.sha256(output.read_bytes()).hexdigest()


def wrong_counters(database: Any, requests: Sequence[str]) -> Iterator[str]:
    """Requests whose counters are not what their rows come to; each must be there once."""
    rows = database(
        "SELECT t.request_id, t.status, t.files, t.files_completed, t.files_failed, t.total_events, t.total_bytes,"
        " (SELECT count(*) FROM transform_files f WHERE f.transform_id = t.id),"
        " (SELECT count(*) FROM transform_files f WHERE f.transform_id = t.id AND f.state = 'done'),"
        " (SELECT count(*) FROM transform_files f WHERE f.transform_id = t.id AND f.state = 'failed'),"
        " (SELECT count(DISTINCT r.object_name) FROM results r WHERE r.transform_id = t.id AND r.status = 'success'),"
        " (SELECT coalesce(sum(r.events_in), 0) FROM results r WHERE r.transform_id = t.id),"
        " (SELECT coalesce(sum(r.bytes), 0) FROM results r WHERE r.transform_id = t.id)"
        " FROM transforms t"
    )
    found = Counter(row[0] for row in rows)
    yield from (f"{one}: {found[one]} rows" for one in requests if found[one] != 1)
    for name, status, files, completed, failed, events, size, all_rows, done, lost, results, read, kept in rows:
        if name in requests and (
            (files, completed, failed) != (all_rows, done, lost)
            or (completed, events, size) != (results, read, kept)
            or completed + failed != files
        ):
            yield f"{name} ({status}): counters {files, completed, failed, events, size}, rows {all_rows, done, lost}"


def seen_by_official_client(load: Load, url: str, sample: int, seed: int) -> list[str]:
    """What the official client sees that is not so: of all requests' statuses, and of a few ones' buckets and bytes."""
    seen = _seen(load, url, random.Random(seed).sample(load.plan.requests, sample))
    return asyncio.run(asyncio.wait_for(seen, SEEN_SECONDS))


async def _seen(load: Load, url: str, sample: Sequence[Asked]) -> list[str]:
    from servicex.minio_adapter import MinioAdapter
    from servicex.servicex_adapter import ServiceXAdapter

    adapter, wrong, came = ServiceXAdapter(url), [], load.plan.came()
    listed = Counter((one.request_id, one.status.value) for one in await adapter.get_transforms())
    requests = [one.request_id for one in load.plan.requests]
    unlike = [one for one in requests if listed[one, came[one]["status"]] != 1]
    wrong += [f"{one}: the official client does not list it as it ended" for one in unlike]
    for one in sample:
        status, ended = await adapter.get_transform_status(one.request_id), came[one.request_id]
        if status.files_completed != len(ended["results"]):
            wrong.append(f"{one.request_id}: the official client sees {status.files_completed} files")
        bucket = MinioAdapter.for_transform(status)
        digests = Counter()
        with tempfile.TemporaryDirectory() as folder:
            for file in await bucket.list_bucket():
                path = await bucket.download_file(file.filename, folder, expected_size=file.size)
                digests[hashlib.sha256(path.read_bytes()).hexdigest()] += 1
        if digests != Counter(ended["results"].values()):
            wrong.append(f"{one.request_id}: the official client gets other bytes")
    return wrong


if __name__ == "__main__":
    main(sys.argv[1])
