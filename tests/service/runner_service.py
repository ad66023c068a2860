"""A runner with its database and store, as a service process has it, and requests for it."""

import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from artifacts.store import Store
from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.runner import Runner
from delivery.service.settings import Inputs, Settings
from delivery.service.tables import Attempt, Result, Transform, TransformFile

sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from engine_inputs import qastle_text, write_tree

QUERY = qastle_text("DS.Where(lambda e: e.x > 0).Select(lambda e: {'x': e.x, 'n': e.n})")


def small_file(path: Path, events: int = 500, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    return write_tree(path, {"x": rng.normal(size=events), "n": np.arange(events)})


def service_settings(folder: Path, **changes: Any) -> Settings:
    changes.setdefault("inputs", Inputs(roots=(folder.parent,)))
    return Settings(data=folder, workers=changes.pop("workers", 1), **changes)


class Bench:
    """One runner; `close` stops it."""

    def __init__(self, folder: Path, start: bool = True, **changes: Any) -> None:
        self.settings = service_settings(folder, **changes)
        self.database = Database(self.settings.database_url)
        self.database.upgrade()
        self.store, self.changes = Store.open(self.settings.store_url), Changes()
        self.runner = Runner(self.settings, self.database, self.store, self.changes)
        if start:
            self.runner.start()

    def submit(self, files: Sequence[Path | str | Sequence[str]], query: str = QUERY, **changes: Any) -> str:
        request_id = str(uuid.uuid4())
        columns: dict[str, Any] = {
            "owner_id": None,
            "title": None,
            "did": "files",
            "dataset_id": None,
            "max_files": None,
            "selection": query,
            "codegen": "uproot",
            "semantics": "servicex",
            "tree": None,
            "result_destination": "object-store",
            "result_format": "parquet",
            "partial": False,
            "priority": 0,
            **changes,
        }
        paths = [[str(file)] if isinstance(file, str | Path) else [str(each) for each in file] for file in files]

        def work(session: Session) -> None:
            transform = state.submit(session, request_id=request_id, **columns)
            state.set_files(session, transform, paths)

        self.database.transact(work)
        self.runner.wake()
        return request_id

    def change(self, request_id: str, change: Callable[[Session, Transform], Any]) -> None:
        self.database.transact(lambda session: change(session, state.by_request_id(session, request_id)))
        self.runner.wake()

    def transform(self, request_id: str) -> Transform:
        with self.database.reading() as session:
            return state.by_request_id(session, request_id)

    def until(self, holds: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := holds():
                return found
            time.sleep(0.005)
        raise AssertionError(f"it did not come about in {seconds} s; the runner says {self.runner.health()}")

    def end_of(self, request_id: str, seconds: float = 60.0) -> Transform:
        def ended() -> Transform | None:
            transform = self.transform(request_id)
            return transform if transform.status in state.ENDED else None

        return self.until(ended, seconds)

    def files(self, request_id: str) -> list[TransformFile]:
        with self.database.reading() as session:
            query = select(TransformFile).join(Transform, Transform.id == TransformFile.transform_id)
            return list(session.scalars(query.where(Transform.request_id == request_id).order_by(TransformFile.place)))

    def results(self, request_id: str) -> list[Result]:
        with self.database.reading() as session:
            query = select(Result).join(Transform, Transform.id == Result.transform_id)
            return list(session.scalars(query.where(Transform.request_id == request_id).order_by(Result.id)))

    def attempts(self, file: TransformFile) -> list[Attempt]:
        with self.database.reading() as session:
            return list(session.scalars(select(Attempt).where(Attempt.file_id == file.id).order_by(Attempt.number)))

    def content(self, result: Result) -> bytes:
        entry = self.store.get(result.key)
        assert entry is not None
        return self.store.read(entry.blobs["output"])

    def close(self, seconds: float = 5.0) -> None:
        self.runner.stop(seconds)
        self.database.close()
