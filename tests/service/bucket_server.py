"""The S3 side and the download route of a service on uvicorn in a thread; its results are put there by the tests."""

import hashlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import uvicorn
from botocore.config import Config
from fastapi import FastAPI

from artifacts.keys import Request as Computed
from artifacts.store import Store
from delivery.service import answers
from delivery.service.changes import Changes
from delivery.service.context import Service
from delivery.service.database import Database
from delivery.service.s3 import Gateway, router
from delivery.service.secret import Secret
from delivery.service.settings import Settings
from delivery.service.tables import Result, Transform, TransformFile


class Restorer:
    """Stands where the runner does: notes which objects were asked for anew, and makes them if it can."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bytes: dict[tuple[str, str], bytes] = {}
        self.store: Store | None = None

    def restore(self, request_id: str, object_name: str) -> bool:
        self.asked.append((request_id, object_name))
        content = self.bytes.get((request_id, object_name))
        if content is not None and self.store is not None:
            put(self.store, content)
        return True


class Buckets:
    """A running gateway. `url` is its base."""

    def __init__(self, service: Service, url: str, app: FastAPI) -> None:
        self.service, self.url, self.app = service, url, app
        self.restorer: Restorer = service.runner  # type: ignore[assignment]

    def bucket(self, objects: Mapping[str, bytes], **fields: Any) -> str:
        """A request whose results are these objects; its id."""
        request_id = str(uuid4())
        places = {content: put(self.service.store, content) for content in set(objects.values())}
        with self.service.database.session() as session:
            transform = Transform(
                request_id=request_id, did="d", selection="s", codegen="uproot", result_destination="object-store",
                result_format="parquet", status="Complete", files=len(objects), **fields,
            )  # fmt: skip
            session.add(transform)
            session.flush()
            for place, (name, content) in enumerate(objects.items()):
                file = TransformFile(
                    transform_id=transform.id, place=place, paths=[name], object_name=name, state="done"
                )
                session.add(file)
                session.flush()
                digest, key = places[content]
                session.add(
                    Result(
                        transform_id=transform.id,
                        file_id=file.id,
                        file_path=name,
                        status="success",
                        object_name=name,
                        key=key,
                        digest=digest,
                        bytes=len(content),
                    )
                )
        return request_id

    def client(self, request_id: str, keys_of: str | None = None, **config: Any) -> Any:
        """boto3 with the keys of a request, of its own unless said."""
        access, secret = self.service.secret.s3_keys(keys_of or request_id)
        return client(self.url, access, secret, **config)


def client(url: str, access: str, secret: str, **config: Any) -> Any:
    """boto3 for a bucket here."""
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1",
        config=Config(**options),
    )  # fmt: skip


def put(store: Store, content: bytes) -> tuple[str, str]:
    """Keep bytes as a result is kept; digest and key."""
    digest = hashlib.sha256(content).hexdigest()
    entry = store.put(Computed("deliver", "1", {"bytes": digest}), {"output": content}, {})
    return digest, entry.key


@contextmanager
def running_buckets(folder: Path, **settings: Any) -> Iterator[Buckets]:
    """Serve on a free port of loopback; stopped at the end."""
    known = Settings(data=folder / "data", **settings)
    known.data.mkdir(parents=True, exist_ok=True)
    database, restorer = Database(known.database_url), Restorer()
    database.upgrade()
    store = restorer.store = Store.open(known.store_url)
    service = Service(known, database, store, Secret.open(known), Changes(), restorer)  # type: ignore[arg-type]
    app = FastAPI()
    app.state.service = service
    app.add_middleware(Gateway)
    answers.install(app)
    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    # The protocol is named: asyncio sets TCP_NODELAY on no other sockets, and small answers would wait 40 ms.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Buckets(service, f"http://127.0.0.1:{listening.getsockname()[1]}", app)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        database.close()
