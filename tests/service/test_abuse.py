"""A real service process under abuse: it says 4xx, keeps serving, loses nothing and gives nothing away."""

import json
import re
import socket
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parent))
from people import People
from requesting import MET
from serving import running_service

from delivery.service.database import Database
from delivery.service.errors import TooMany
from delivery.service.settings import Limits
from delivery.service.sign_in import quotas, users
from delivery.service.sign_in.rates import KEYS, Rates
from delivery.service.tables import Transform, User

BODY_BYTES = 200_000
CALLS_PER_MINUTE = 3000
DOCS = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return People.of(tmp_path_factory.mktemp("abuse") / "data")


@pytest.fixture(scope="module")
def service(people, shared_data):
    limits = {"body_bytes": BODY_BYTES, "calls_per_minute": CALLS_PER_MINUTE}
    inputs = {"roots": [str(shared_data)]}
    with running_service(people.folder.parent, sign_in=True, inputs=inputs, limits=limits) as running:
        yield running


@pytest.fixture
def http(service):
    with service.client() as client:
        yield client


@pytest.fixture
def body(shared_data):
    return {
        "title": "a sample",
        "file-list": [str(shared_data / "root" / "nano_dy.root")],
        "selection": MET,
        "codegen": "uproot",
        "result-destination": "object-store",
        "result-format": "parquet",
    }


def connected(service):
    where = urlsplit(service.url)
    return closing(socket.create_connection((where.hostname, where.port), timeout=90))


def test_a_body_that_is_too_large_is_refused_whether_announced_or_not(http, people):
    large = b'{"title": "' + b"a" * (2 * BODY_BYTES) + b'"}'
    headers = people.bearer("alice")
    announced = http.post("/servicex/transformation", content=large, headers=headers)
    streamed = http.post(
        "/servicex/transformation",
        content=(large[place : place + 4096] for place in range(0, len(large), 4096)),
        headers=headers,
    )
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert f"{BODY_BYTES:,}" in answer.json()["message"]
    assert http.get("/servicex", headers=headers).status_code == 200


def test_a_body_announced_as_endless_is_refused_unread(service):
    with connected(service) as line:
        line.sendall(
            b"POST /servicex/transformation HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"a":' * 20_000,
        b'{"selection": 1e999, "file-list": [1]}',
        b'{"selection": "\\ud800", "file-list": ["\\u0000"]}',
        b'{"selection": {"$gt": ""}, "codegen": ["uproot"]}',
        b'{"file-list": "' + b"a" * 1000 + b'"}',
    ],
)
def test_malformed_bodies_are_refused_in_words(http, people, content):
    answer = http.post("/servicex/transformation", content=content, headers=people.bearer("alice"))
    assert 400 <= answer.status_code < 500
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /servicex HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /servicex HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000,
        b"GET /servicex HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_400_or_closed(service, http, request_bytes):
    with connected(service) as line, suppress(ConnectionError):
        line.sendall(request_bytes)
        answer = line.recv(4096)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d", answer)
    assert http.get("/health").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "../../secret",
        "..%2f..%2fsecret",
        "%2e%2e/%2e%2e/secret",
        "..%5c..%5csecret",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "a%00b",
        "%2e%2e",
        "%ff%fe",
        "a" * 5000,
        "service.sqlite",
    ],
)
def test_no_name_of_an_object_leads_elsewhere(http, people, body, name):
    headers = people.bearer("alice")
    request_id = http.post("/servicex/transformation", json=body, headers=headers).json()["request_id"]
    raw = f"/servicex/transformation/{request_id}/objects/{name}".encode()
    url = http.base_url.copy_with(raw_path=raw)
    answer = http.get(url, headers=headers)
    assert 400 <= answer.status_code < 500
    secret = (people.folder / "secret").read_text().strip()
    assert secret not in answer.text
    assert "root:" not in answer.text


def test_paths_of_requests_lead_nowhere(http, people, body):
    for path in (
        "/etc/passwd",
        str(people.folder / "secret"),
        f"file://{people.folder}/service.sqlite",
        "/proc/1/environ",
    ):
        answer = http.post(
            "/servicex/transformation", json={**body, "file-list": [path]}, headers=people.bearer("alice")
        )
        assert answer.status_code == 400
    for url in ("https://169.254.169.254/latest/meta-data", "root://127.0.0.1//a.root", "https://localhost/a.root"):
        answer = http.post(
            "/servicex/transformation", json={**body, "file-list": [url]}, headers=people.bearer("alice")
        )
        assert answer.status_code == 400


def test_no_text_becomes_part_of_a_statement(http, people, body):
    """Whatever a title or a search says, it is text: it finds what holds it, and nothing of others."""
    alice, root = people.bearer("alice"), people.bearer("root")
    texts = ("' OR '1'='1", "'; DROP TABLE transforms; --", '" OR 1=1 --', "100%", "under_score", "\\' OR 1=1 #")
    http.post("/servicex/transformation", json={**body, "title": "root's own"}, headers=root).raise_for_status()
    for text in texts:
        http.post("/servicex/transformation", json={**body, "title": text}, headers=alice).raise_for_status()
    for text in texts:
        found = http.get("/index.json", params={"search": text}, headers=alice).json()["rows"]
        assert [row["title"] for row in found] == [text]
        assert http.get("/servicex/datasets", params={"did-finder": text}, headers=alice).json()["datasets"] == []
        assert http.get(f"/servicex/transformation/{quote(text, safe='')}", headers=alice).status_code == 404
        for name in ("sort", "order", "whose"):
            assert http.get("/index.json", params={name: text}, headers=alice).status_code == 400
    titles = {row["title"] for row in http.get("/servicex/transformation", headers=alice).json()["requests"]}
    assert set(texts) <= titles
    assert "root's own" not in titles


def test_slow_clients_hold_up_nobody_and_are_let_go(service, people):
    """Slow headers, slow bodies and silent connections: others are served, and the lines are closed in time."""
    with connected(service) as slow_header, connected(service) as slow_body, connected(service) as silent:
        slow_header.sendall(b"GET /servicex HTTP/1.1\r\nHost: a\r\n")
        slow_body.sendall(b"POST /servicex/transformation HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        many = [
            socket.create_connection((urlsplit(service.url).hostname, urlsplit(service.url).port)) for _ in range(200)
        ]
        try:
            for line in many:
                line.sendall(b"POST /servicex/transformation HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            with service.client() as http:
                for _ in range(20):
                    assert http.get("/servicex", headers=people.bearer("alice")).status_code == 200
        finally:
            for line in many:
                line.close()
        closed = []

        def drip(line):
            with suppress(OSError):
                while True:
                    time.sleep(1)
                    line.sendall(b"X")

        threading.Thread(target=drip, args=(slow_header,), daemon=True).start()
        for line in (slow_header, silent, slow_body):
            answer = b""
            with suppress(ConnectionError):
                answer = line.recv(4096)
            closed.append(answer[:12])
        assert closed[1] == b""
        assert closed[0] in (b"", b"HTTP/1.1 400")
        assert closed[2] == b"HTTP/1.1 408"


def test_a_flood_is_answered_with_429_and_nothing_that_was_taken_is_lost(service, people, body):
    """Ten thousand calls a minute, for some seconds, from one user; another is served meanwhile."""
    taken, statuses, lock = [], [], threading.Lock()
    until = time.monotonic() + 4
    with service.client() as http:
        access = people.bearer("bob")

        def flood(number):
            with service.client() as mine:
                while time.monotonic() < until:
                    answer = mine.get("/servicex", headers=access)
                    with lock:
                        statuses.append(answer.status_code)
                    if answer.status_code == 429:
                        assert int(answer.headers["retry-after"]) >= 1
                        assert "message" in answer.json()

        def submit():
            with service.client() as mine:
                while time.monotonic() < until:
                    answer = mine.post("/servicex/transformation", json=body, headers=people.bearer("alice"))
                    assert answer.status_code in (200, 429)
                    if answer.status_code == 200:
                        taken.append(answer.json()["request_id"])

        threads = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
        threads.append(threading.Thread(target=submit))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 429}
        assert taken
        listed = http.get("/servicex/transformation", headers=people.bearer("root")).json()["requests"]
        assert set(taken) <= {each["request_id"] for each in listed}


def test_wrong_tokens_by_the_thousand_are_limited_by_address(tmp_path):
    people = People.of(tmp_path / "data")
    with running_service(tmp_path, sign_in=True, limits={"calls_per_minute": 50}) as running, running.client() as http:
        wrong = [http.get("/servicex", headers={"Authorization": "Bearer x"}).status_code for _ in range(80)]
        assert wrong[:50] == [401] * 50
        assert 429 in wrong[50:]
        assert http.get("/servicex", headers=people.bearer("alice")).status_code == 200  # others are not held up
        assert http.get("/health").status_code == 200


def test_a_bucket_holds_a_minute_and_fills_steadily():
    now = [0.0]
    rates = Rates(lambda: now[0])

    def taken(key="a", per_minute=60):
        try:
            rates.take(key, per_minute, "calls")
        except TooMany as error:
            return error.retry_after
        return 0

    assert [taken() for _ in range(60)] == [0] * 60
    assert taken() == 1.0
    assert taken("b") == 0  # another's bucket is full
    now[0] += 10
    assert [bool(taken()) for _ in range(12)] == [False] * 10 + [True] * 2
    now[0] += 3600
    assert [bool(taken()) for _ in range(61)] == [False] * 60 + [True]
    assert taken("nobody", 0) == 60.0
    for number in range(KEYS + 10):
        taken(f"key {number}")
    assert len(rates._buckets) == KEYS


def test_quotas_of_open_requests_and_stored_bytes(database, new_request):
    with database.session() as session:
        alice = users.add(session, "alice")
        alice_id = alice.id
    new_request(owner_id=alice_id)
    with database.session() as session:
        quotas.check_submission(session, alice_id, Limits(open_requests=2))
        with pytest.raises(TooMany, match="1 requests are open"):
            quotas.check_submission(session, alice_id, Limits(open_requests=1))
        quotas.check_submission(session, None, Limits(open_requests=1))  # another's are not counted
        assert quotas.stored_bytes(session, alice_id) == 0
        with pytest.raises(TooMany, match="delete requests"):
            quotas.check_submission(session, alice_id, Limits(stored_bytes=0))
        assert session.scalar(select(func.count()).select_from(Transform)) == 1


def test_a_quota_of_a_user_is_kept_by_the_service(service, http, people, body):
    database = Database(f"sqlite:///{people.folder / 'service.sqlite'}")
    with database.session() as session:
        user = users.add(session, "frank")
        token = users.new_token(session, user, people.key)[1]
        users.change(session.get_one(User, user.id), quota={"submits_per_minute": 2})
    database.close()
    access = http.post("/token/refresh", headers={"Authorization": f"Bearer {token}"}).json()["access_token"]
    headers = {"Authorization": f"Bearer {access}"}
    found = [http.post("/servicex/transformation", json=body, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in found] == [200, 200, 429]
    assert 1 <= int(found[2].headers["retry-after"]) <= 60


def test_logs_and_answers_hold_no_secret(tmp_path, shared_data, body):
    """A whole session at the most talkative level; then every token and key is looked for in the log."""
    people = People.of(tmp_path / "data")
    settings = {"sign_in": True, "log_level": "DEBUG", "inputs": {"roots": [str(shared_data)]}}
    with running_service(tmp_path, **settings) as running, running.client() as http:
        refresh = people.refresh["alice"]
        access = http.post("/token/refresh", headers={"Authorization": f"Bearer {refresh}"}).json()["access_token"]
        headers = {"Authorization": f"Bearer {access}"}
        http.post("/sign-in", data={"token": refresh})
        cookie = http.cookies["skimflow-session"]
        request_id = http.post("/servicex/transformation", json=body, headers=headers).json()["request_id"]
        status = http.get(f"/servicex/transformation/{request_id}", headers=headers).json()
        s3_secret = status["minio-secret-key"]
        signed = "https://8.8.8.8/a.root?authz=SECRETAUTHZ&X-Amz-Signature=SECRETSIGNATURE"
        http.post("/servicex/transformation", json={**body, "file-list": [signed]}, headers=headers)
        http.post(
            "/servicex/transformation", json={**body, "file-list": ["https://u:SECRETWORD@8.8.8.8/"]}, headers=headers
        )
        http.get(f"/servicex?token={refresh}", headers={"Authorization": f"Bearer {people.refresh['bob']}"})
        http.get(f"/{request_id}/a?AWSAccessKeyId=x&Signature=SECRETSIGNATURE&Expires=1")
        others = http.get("/servicex/transformation", headers=people.bearer("bob")).text
        open_pages = "".join(http.get(path).text for path in ("/health", "/ready", "/metrics", "/openapi.json"))
        http.get("/nowhere", headers={**headers, "X-Api-Key": "SECRETHEADER"})
    secret = (people.folder / "secret").read_text().strip()
    hidden = [
        secret, refresh, access, cookie, s3_secret, people.refresh["bob"],
        "SECRETAUTHZ", "SECRETSIGNATURE", "SECRETWORD", "SECRETHEADER",
    ]  # fmt: skip
    log = running.log_text()
    assert request_id in log  # something was logged
    for text in (log, open_pages, others):
        assert [each for each in hidden if each in text] == []
    assert re.findall(r"eyJ[\w-]+\.[\w-]+\.", log) == []
    assert json.dumps(status).count(secret) == 0


def test_every_threat_names_a_test_that_exists():
    """As `file::test`, or `file::Class::test`."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(\w+)`", DOCS.read_text(encoding="utf-8"))
    rows = [
        line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "---" not in line
    ]
    for row in rows[1:]:
        assert re.search(r"`tests/[\w/]+\.py::[\w:]+`", row), row
    assert len(named) > 70
    for path, name in named:
        text = (DOCS.parents[1] / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"
