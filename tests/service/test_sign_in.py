"""Signing in to a running service: what a token opens, for whom, and until when."""

import base64
import json
import re
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from people import People
from requesting import MET
from serving import running_service

from delivery.service.app import create_app
from delivery.service.database import Database
from delivery.service.errors import BadRequest, Conflict, NotSignedIn, NotThere
from delivery.service.settings import Limits, Settings, load
from delivery.service.sign_in import users
from delivery.service.sign_in.tokens import Claims, sign, verified
from delivery.service.tables import User

OPEN = {
    "/openapi.json", "/health", "/ready", "/static/{name}",
    "/metrics",  # from this machine, whence the tests call
    "/token/refresh", "/sign-in", "/sign-out",
}  # fmt: skip
"""For everybody: what is here is looked at by each reader of this test."""
ADMINS = {"/users", "/users.json"}
NOBODYS = "00000000-0000-4000-8000-000000000000"


def all_routes():
    """Method and path of every route that the application has."""

    def walk(routes):
        for route in routes:
            inner = getattr(route, "original_router", None)
            if inner is not None:
                yield from walk(inner.routes)
            else:
                yield from ((method, route.path) for method in sorted(route.methods))

    return sorted(set(walk(create_app(Settings(data="/nonexistent")).routes)))


ROUTES = all_routes()
CLOSED = [(method, path) for method, path in ROUTES if path not in OPEN]
OF_REQUESTS = [(method, path) for method, path in CLOSED if "{request_id}" in path]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return People.of(tmp_path_factory.mktemp("people") / "data")


@pytest.fixture(scope="module")
def service(people, shared_data):
    with running_service(people.folder.parent, sign_in=True, inputs={"roots": [str(shared_data)]}) as running:
        yield running


@pytest.fixture
def http(service):
    with service.client() as client:
        yield client


@pytest.fixture
def submitted(http, people, shared_data):
    def submit(name="alice", file="nano_dy.root"):
        body = {
            "title": "a sample",
            "file-list": [str(shared_data / "root" / file)],
            "selection": MET,
            "codegen": "uproot",
            "result-destination": "object-store",
            "result-format": "parquet",
        }
        answer = http.post("/servicex/transformation", json=body, headers=people.bearer(name))
        assert answer.status_code == 200, answer.text
        return answer.json()["request_id"]

    return submit


def place(path, request_id=NOBODYS, dataset_id=1):
    values = {
        "request_id": request_id,
        "dataset_id": dataset_id,
        "place": 0,
        "form": "txt",
        "name:path": "a",
        "name": "a",
    }
    return re.sub(r"{([\w:]+)}", lambda found: str(values[found[1]]), path)


def status(http, method, url, headers, **body):
    """The status alone: some answers are streams without an end."""
    with http.stream(method, url, headers=headers, **body) as answer:
        return answer.status_code


def form(http, people, name):
    """What a form of this user's own carries."""
    page = http.get("/profile", headers=people.bearer(name)).text
    return {"data": {"token": re.search(r'name="token"[^>]*value="([^"]+)"', page)[1]}}


def test_what_is_open_to_everybody_is_written_here():
    assert {path for _, path in ROUTES} >= OPEN
    assert len(CLOSED) > 40


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_route_opens_for_a_wrong_token(http, people, submitted, method, path):
    url = place(path)
    wrong = people.wrong_headers()
    found = {name: status(http, method, url, headers) for name, headers in wrong.items()}
    assert found == dict.fromkeys(wrong, 401)


@pytest.mark.parametrize(("method", "path"), OF_REQUESTS)
def test_a_request_is_its_owners_and_the_admins(http, people, submitted, method, path):
    request_id = submitted()
    url, forms = place(path, request_id), not path.startswith("/servicex") and method == "POST"
    bobs = form(http, people, "bob") if forms else {}
    assert status(http, method, url, people.bearer("bob"), **bobs) == 403
    as_it_was = http.get(f"/servicex/transformation/{request_id}", headers=people.bearer("alice")).json()
    assert as_it_was["status"] not in ("Canceled", "Fatal")
    for name in ("root", "alice"):
        own = form(http, people, name) if forms else {}
        assert status(http, method, url, people.bearer(name), **own) not in (401, 403, 500)


def test_lists_hold_the_callers_own_requests_and_an_admin_sees_all(http, people, submitted):
    alices, bobs = submitted("alice"), submitted("bob")

    def seen(name):
        found = http.get("/servicex/transformation", headers=people.bearer(name)).json()["requests"]
        return {each["request_id"] for each in found}

    assert alices in seen("alice")
    assert bobs not in seen("alice")
    assert bobs in seen("bob")
    assert alices not in seen("bob")
    assert {alices, bobs} <= seen("root")
    assert alices not in http.get("/dashboard.json", headers=people.bearer("bob")).text
    http.post("/servicex/transformation/cancel-all", headers=people.bearer("bob"))
    found = http.get(f"/servicex/transformation/{alices}", headers=people.bearer("alice")).json()
    assert found["status"] != "Canceled"


@pytest.mark.parametrize("path", sorted(ADMINS))
def test_what_is_the_admins(http, people, path):
    assert status(http, "GET", path, people.bearer("root")) == 200
    assert status(http, "GET", path, people.bearer("bob")) == 403


def test_other_peoples_file_lists_are_not_shown(http, people, submitted):
    request_id = submitted("alice", "of-alice-alone.root")
    found = http.get(f"/servicex/transformation/{request_id}", headers=people.bearer("alice")).json()
    url = f"/servicex/datasets/{found['did_id']}"
    assert http.get(url, headers=people.bearer("alice")).status_code == 200
    for method in ("GET", "DELETE"):
        assert http.request(method, url, headers=people.bearer("bob")).status_code in (403, 404)


def test_file_urls_are_signed_for_the_owner_only(http, people, submitted):
    body = {"request_id": submitted("alice"), "file_list": []}
    url = "/servicex/transformation/file-urls"
    assert http.post(url, json=body, headers=people.bearer("alice")).status_code == 200
    assert http.post(url, json=body, headers=people.bearer("bob")).status_code == 403


def test_a_refresh_token_gives_an_access_token_as_the_client_reads_it(http, people):
    answer = http.post("/token/refresh", headers={"Authorization": f"Bearer {people.refresh['alice']}"})
    token = answer.json()["access_token"]
    header, claims, _ = (
        json.loads(base64.urlsafe_b64decode(each + "==")) if place < 2 else each
        for place, each in enumerate(token.split("."))
    )
    assert header["alg"] == "HS256"
    assert 60 < claims["exp"] - time.time() <= 3600
    assert http.get("/servicex", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert http.post("/token/refresh", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_refresh_token_that_does_not_count_gives_nothing(http, people):
    for name in ("carol", "dave"):
        answer = http.post("/token/refresh", headers={"Authorization": f"Bearer {people.refresh[name]}"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "message" in answer.json()
    wrong = people.wrong_headers()
    wrong.pop("a refresh token")
    assert {http.post("/token/refresh", headers=each).status_code for each in wrong.values()} == {401}


def test_the_official_client_signs_in(service, people, tmp_path):
    import asyncio

    from servicex.servicex_adapter import ServiceXAdapter

    async def asked(token):
        adapter = ServiceXAdapter(url=service.url, refresh_token=token)
        return await adapter.get_transforms()

    assert asyncio.run(asked(people.refresh["bob"])) is not None
    with pytest.raises(Exception, match=r"(?i)authoriz|authenticat|401"):
        asyncio.run(asked(people.refresh["dave"]))


def test_revoking_ends_access_tokens_and_sessions_too(service, http, people):
    database = Database(f"sqlite:///{people.folder / 'service.sqlite'}")
    with database.session() as session:
        user = users.add(session, "erin")
        token = users.new_token(session, user, people.key)[1]
    access = http.post("/token/refresh", headers={"Authorization": f"Bearer {token}"}).json()["access_token"]
    headers = {"Authorization": f"Bearer {access}"}
    assert http.get("/servicex", headers=headers).status_code == 200
    with service.client(headers={"Accept": "text/html"}) as browser:
        browser.post("/sign-in", data={"token": token})
        assert browser.get("/profile").status_code == 200
        with database.session() as session:
            users.revoke(users.by_name(session, "erin"))
        assert browser.get("/profile").status_code == 303
    assert http.get("/servicex", headers=headers).status_code == 401
    with database.session() as session:
        again = users.new_token(session, users.by_name(session, "erin"), people.key)[1]
    assert http.post("/token/refresh", headers={"Authorization": f"Bearer {again}"}).status_code == 200
    database.close()


def test_a_person_signs_in_at_a_browser_and_out(service, people):
    with service.client() as browser:
        led = browser.get("/transformation-request/x?a=b", headers={"Accept": "text/html"})
        assert led.status_code == 303
        form_page = browser.get(led.headers["location"])
        assert form_page.status_code == 200
        back = re.search(r'name="next" value="([^"]*)"', form_page.text)[1]
        assert browser.post("/sign-in", data={"token": "wrong", "next": back}).status_code == 401
        answer = browser.post("/sign-in", data={"token": people.refresh["alice"], "next": back})
        assert (answer.status_code, answer.headers["location"]) == (303, "/transformation-request/x?a=b")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert people.refresh["alice"].lower() not in cookie
        assert browser.get("/servicex").status_code == 200
        browser.post("/sign-out")
        assert browser.get("/servicex").status_code == 401


@pytest.mark.parametrize(
    "away", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/a\nb", "", "é"]
)
def test_signing_in_leads_to_no_other_site(http, people, away):
    answer = http.post("/sign-in", data={"token": people.refresh["alice"], "next": away})
    assert answer.headers["location"] == "/"


def test_what_is_pasted_is_shown_as_text(http):
    page = http.get("/sign-in", params={"next": '/"><script>alert(1)</script>'}).text
    assert "<script>" not in page


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_sites_page_changes_nothing_with_the_cookie(service, people, submitted, headers):
    request_id = submitted()
    with service.client() as browser:
        browser.post("/sign-in", data={"token": people.refresh["alice"]})
        for method, url in (
            ("GET", f"/servicex/transformation/{request_id}/cancel"),
            ("POST", f"/servicex/transformation/{request_id}/cancel"),
            ("DELETE", f"/servicex/transformation/{request_id}"),
            ("POST", f"/transformation-request/{request_id}/cancel"),
            ("POST", "/servicex.yaml"),
            ("POST", "/profile/servicex.yaml"),
            ("POST", "/sign-in"),
        ):
            if method != "GET" or "Sec-Fetch-Site" in headers:
                assert browser.request(method, url, headers=headers).status_code == 403
        own = {"Sec-Fetch-Site": "same-origin", "Origin": service.url}
        assert browser.post(f"/servicex/transformation/{request_id}/cancel", headers=own).status_code in (200, 400)


def test_looking_at_the_configuration_gives_no_token_and_asking_for_one_does(service, http, people):
    """A GET may be made by anything that shows a link; what it answers opens nothing."""

    def last_token():
        database = Database(f"sqlite:///{people.folder / 'service.sqlite'}")
        with database.session() as session:
            found = session.get_one(User, people.ids["alice"]).last_token
        database.close()
        return found

    before, headers = last_token(), people.bearer("alice")
    for path in ("/servicex.yaml", "/.servicex"):
        (endpoint,) = yaml.safe_load(http.get(path, headers=headers).text)["api_endpoints"]
        assert endpoint == {"name": "local", "type": "uproot", "endpoint": service.url, "token": "PASTE-YOUR-TOKEN"}
    assert last_token() == before
    (endpoint,) = yaml.safe_load(http.post("/servicex.yaml", headers=headers).text)["api_endpoints"]
    assert last_token() == before + 1
    given = verified(people.key, endpoint["token"], "refresh")
    assert (given.user_id, given.number) == (people.ids["alice"], before + 1)
    assert http.post("/servicex.yaml").status_code == 401


def test_metrics_are_the_monitors_and_the_admins(tmp_path, http, people):
    assert "skimflow_requests" in http.get("/metrics").text
    for proxy in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        passed_on = {proxy: "127.0.0.1"}
        assert http.get("/metrics", headers=passed_on).status_code == 401
        assert http.get("/metrics", headers={**passed_on, **people.bearer("alice")}).status_code == 403
        assert http.get("/metrics", headers={**passed_on, **people.bearer("root")}).status_code == 200
    others = People.of(tmp_path / "data")
    with (
        running_service(tmp_path, sign_in=True, metrics_networks=["10.213.97.0/28"]) as running,
        running.client() as elsewhere,
    ):
        assert elsewhere.get("/metrics").status_code == 401
        assert elsewhere.get("/metrics", headers=others.bearer("alice")).status_code == 403
        assert "skimflow_requests" in elsewhere.get("/metrics", headers=others.bearer("root")).text


def test_without_sign_in_only_this_machines_names_are_answered(tmp_path):
    """A name that was made to mean 127.0.0.1 is another site's, and its page is of the same origin."""
    with running_service(tmp_path) as running, running.client() as http:
        for host in (
            "evil.example",
            "evil.example:5000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "[",
            "a:b:c",
        ):
            assert http.get("/servicex", headers={"Host": host}).status_code == 403
        for host in ("127.0.0.1:1", "localhost", "[::1]:80", "a.localhost:5000"):
            assert http.get("/servicex", headers={"Host": host}).status_code == 200
        assert http.post("/servicex/transformation", headers={"Origin": "https://evil.example"}).status_code == 403
        token = http.post("/token/refresh").json()["access_token"]
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["exp"] > time.time() + 60


def test_answers_carry_what_keeps_a_page_to_itself(http):
    for path in ("/sign-in", "/health", "/openapi.json"):
        headers = http.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_tokens_are_what_the_published_example_says():
    """Signed by hand after RFC 7515, read by us; a token of one kind is none of another."""
    key = b"k" * 32
    token = sign(key, Claims("access", 7, 3), 60)
    assert verified(key, token, "access") == Claims("access", 7, 3)
    for kind in ("refresh", "session"):
        with pytest.raises(NotSignedIn):
            verified(key, token, kind)
    with pytest.raises(NotSignedIn, match="has expired"):
        verified(key, sign(key, Claims("access", 7, 3), -1), "access")


def test_users_on_both_databases(database):
    with database.session() as session:
        alice = users.add(session, "alice", "alice@example.org")
        assert [users.new_token(session, alice, b"k" * 32)[0] for _ in range(3)] == [1, 2, 3]
    with database.session() as session:
        alice = users.by_name(session, "alice")
        assert (alice.last_token, alice.tokens_from) == (3, 0)
        assert users.revoke(alice, 3) == 3
        assert users.revoke(alice, 2) == 3  # what is void stays void
        assert users.revoke(alice) == 4
        users.change(alice, role="admin", quota={"open_requests": 5, "stored_bytes": 10})
        users.change(alice, quota={"stored_bytes": None})
    with database.session() as session:
        alice = users.by_name(session, "alice")
        assert users.limits_of(alice.quota, Limits(files=7)) == Limits(files=7, open_requests=5)
        with pytest.raises(Conflict):
            users.add(session, "alice")
        with pytest.raises(NotThere, match="did you mean alice"):
            users.by_name(session, "alcie")
        for wrong in ("", "a b", "a" * 201, "a/b", "<b>"):
            with pytest.raises(BadRequest):
                users.add(session, wrong)
        for quota in ({"open_request": 1}, {"open_requests": -1}, {"body_bytes": 1}):
            with pytest.raises(BadRequest):
                users.change(alice, quota=quota)
        assert [user.name for user in users.listed(session)] == ["alice"]
        assert session.get(User, alice.id) is alice


@pytest.mark.parametrize(
    ("host", "public_url", "needed"),
    [
        ("127.0.0.1", None, False),
        ("127.8.8.8", None, False),
        ("localhost", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("192.168.1.7", None, True),
        ("lab.example.org", None, True),
        ("127.0.0.1", "http://localhost:8080", False),
        ("127.0.0.1", "https://servicex.example.org", True),
    ],
)
def test_who_can_be_reached_by_others_needs_sign_in(host, public_url, needed):
    assert Settings(host=host, public_url=public_url).needs_sign_in is needed


def test_the_service_refuses_to_listen_elsewhere_without_sign_in(tmp_path):
    from delivery.service.main import AddressUnusable, serve

    with pytest.raises(AddressUnusable, match="sign_in"):
        serve(Settings(host="0.0.0.0", sign_in=False, data=tmp_path, port=0))


def test_settings_from_a_file_the_environment_and_what_is_given(tmp_path, monkeypatch):
    file = tmp_path / "service.yaml"
    file.write_text("port: 1\nlog_level: DEBUG\nlimits: {files: 3}\n")
    monkeypatch.setenv("SKIMFLOW_PORT", "2")
    found = load(file, log_level="ERROR")
    assert (found.port, found.log_level, found.limits.files) == (2, "ERROR", 3)
    file.write_text("prot: 1\n")
    with pytest.raises(BadRequest, match="prot"):
        load(file)
    file.write_text("port: [")
    with pytest.raises(BadRequest, match="cannot be read"):
        load(file)


def test_a_client_that_only_speaks_http_needs_no_cookie(service, people):
    answer = httpx.get(f"{service.url}/servicex", headers=people.bearer("alice"))
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
