"""The pages without a browser: what they say, what their JSON twins say, whom they let in, and that nothing escapes."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

sys.path.insert(0, str(Path(__file__).parent))
from page_service import HOSTILE, Site, a_day, files_of, finish, site, submit

from delivery.service.sign_in import users
from delivery.service.sign_in.tokens import Claims, sign
from delivery.service.tables import Transform

PAGES = ("/", "/dashboard", "/datasets", "/workers", "/cache", "/users", "/profile", "/getting-started")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("pages") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def ids(served: Site) -> dict[str, str]:
    return served.service.database.transact(a_day)


@pytest.fixture
def client(served: Site) -> Iterator[httpx.Client]:
    with served.client() as found:
        yield found


class Tags(HTMLParser):
    """Every start tag with its attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def of_request(ids: dict[str, str]) -> list[str]:
    return [f"/transformation-request/{one}{end}" for one in ids.values() for end in ("", "/results", "/logs")]


def test_every_page_answers_with_its_twin_and_loads_nothing_from_elsewhere(
    client: httpx.Client, ids: dict[str, str]
) -> None:
    for path in [*PAGES, "/datasets/1", *of_request(ids)]:
        answer = client.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        found = Tags(answer.text)
        for tag, attributes in found.tags:
            for name, value in attributes.items():
                assert not name.startswith("on"), (path, tag, name)
                assert name != "style", (path, tag)
                if name in ("src", "href", "action"):
                    assert re.match(r"[/?#]", value or ""), (path, tag, value)
            assert tag != "style", path
            assert tag != "script" or attributes.get("src"), path
        twin = next(a["href"] for tag, a in found.tags if tag == "link" and a.get("rel") == "alternate")
        assert client.get(twin or "").headers["content-type"] == "application/json", path


def test_static_files_are_the_services_own(client: httpx.Client) -> None:
    for name, kind in (("style.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        answer = client.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]
        assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert client.get("/static/..%2froutes.py").status_code == 404
    assert client.get("/static/routes.py").json()["message"].startswith("there is no routes.py")


def test_hostile_texts_are_shown_and_never_markup(client: httpx.Client, ids: dict[str, str]) -> None:
    hostile = f"/transformation-request/{ids['hostile']}"
    paths = [
        "/",
        hostile,
        f"{hostile}/logs",
        f"{hostile}/results",
        "/datasets",
        f"/?search={HOSTILE}",
        f"{hostile}?search={HOSTILE}",
    ]
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<img src=x" not in answer.text, path
        assert len([tag for tag, _ in Tags(answer.text).tags if tag == "img"]) == 1  # the service's own mark
    assert HOSTILE in Tags(client.get(hostile).text).text
    assert f"there is no branch {HOSTILE}" in Tags(client.get(hostile).text).text
    assert client.get(f"/transformation-request/{HOSTILE}").status_code == 404


def test_the_list_searches_filters_sorts_and_pages(served: Site, client: httpx.Client, ids: dict[str, str]) -> None:
    def titles(query: str) -> list[str]:
        return [row["title"] for row in client.get(f"/index.json{query}").json()["rows"]]

    assert titles("?search=TTBAR&sort=title&order=up") == [
        "ttbar nominal",
        "ttbar, parton shower variation",
        "ttbar, scale down",
    ]
    assert titles("?status=Fatal") == ["W+jets"]
    assert titles("?search=Jet_btagCSVV2") == ["W+jets", "single top t-channel"]  # the reason is searched too
    assert titles("?search=%25") == []  # no wildcard
    assert len(titles("?status=open")) == 3
    assert client.get("/index.json?search=ttbar").json()["counts"] == {"Complete": 1, "Canceled": 1, "Running": 1}
    sizes = [row["bytes"] for row in client.get("/index.json?sort=bytes").json()["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    assert client.get("/?sort=nonsense").status_code == 400
    assert client.get("/?page=9999").status_code == 200


def test_many_requests_come_page_by_page(tmp_path: Path) -> None:
    with site(tmp_path / "data") as served, served.client() as client:
        served.service.database.transact(lambda s: [submit(s, f"number {n}", [f"/{n}.root"]) for n in range(60)])
        seen: list[str] = []
        address: str | None = "/"
        while address:
            text = client.get(f"/{address.removeprefix('/')}").text
            seen += re.findall(r">(number \d+)</a>", text)
            address = next((a["href"] for tag, a in Tags(text).tags if tag == "a" and a.get("rel") == "next"), None)
        assert seen == [f"number {n}" for n in reversed(range(60))]


def test_a_request_adds_up_its_files(client: httpx.Client, ids: dict[str, str]) -> None:
    view = client.get(f"/transformation-request/{ids['fatal']}.json").json()["request"]
    results = client.get(f"/servicex/transformation/{ids['fatal']}/results").json()["results"]
    good = [row for row in results if row["transform_status"] == "success"]
    assert view["totals"]["bytes"] == sum(row["total-bytes"] for row in good)
    assert view["totals"]["events_in"] == sum(row["events-in"] for row in good) == view["cutflow"][0]["passed"]
    for place in range(3):
        assert view["cutflow"][place + 1]["passed"] == sum(row["cutflow"][place][1] for row in good)
    assert view["files"]["counts"] == {"done": 9, "failed": 3}
    assert view["can_retry"]
    assert not view["can_cancel"]
    assert "3 of 12 files failed" in view["row"]["failure"]


def test_the_clients_link_to_failures_works_in_both_spellings(client: httpx.Client, ids: dict[str, str]) -> None:
    for slashes in ("/", "//"):
        answer = client.get(f"/transformation-request{slashes}{ids['fatal']}/results?status=failure")
        rows = [a for tag, a in Tags(answer.text).tags if tag == "tr" and (a.get("data-key") or "").startswith("file-")]
        assert [row["class"] for row in rows] == ["failed"] * 3
        assert "did you mean Jet_btagCSVV2?" in answer.text


def test_logs_are_found_by_file_state_and_text(client: httpx.Client, ids: dict[str, str]) -> None:
    status = client.get(f"/servicex/transformation/{ids['fatal']}").json()
    url = httpx.URL(status["log-url"])
    assert client.get(url.path).status_code == 200
    found = client.get(f"{url.path}.json?search=btagCSVV2").json()
    assert [log["file"]["place"] for log in found["logs"]] == [0, 1, 2]
    assert all("Jet_btagCSVV2" in line for log in found["logs"] for line in log["lines"])
    assert [log["attempts"][0]["outcome"] for log in found["logs"]] == ["failed"] * 3
    assert [log["file"]["place"] for log in client.get(f"{url.path}.json?place=5").json()["logs"]] == [5]
    assert client.get(f"{url.path}.json?state=waiting").json()["logs"] == []


def test_downloads_name_every_result_once(client: httpx.Client, ids: dict[str, str]) -> None:
    here = f"/transformation-request/{ids['fatal']}"
    names = {
        row["s3-object-name"]
        for row in client.get(f"/servicex/transformation/{ids['fatal']}/results").json()["results"]
        if row["transform_status"] == "success"
    }
    urls = client.get(f"{here}/downloads.txt").text.split()
    prefix = f"{client.base_url}/servicex/transformation/{ids['fatal']}/objects/"
    assert {httpx.URL(url).path.rpartition("/objects/")[2] for url in urls} == names
    assert all(url.startswith(prefix) for url in urls)
    script = client.get(f"{here}/downloads.sh").text
    assert script.count("curl -fsS") == 9


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
"""As Firefox and Chromium begin it."""


def links(page: str) -> list[str]:
    return [a["href"] or "" for tag, a in Tags(page).tags if tag == "a"]


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nowhere", 404, "There is no page at /nowhere."),
        ("GET", "/servicex/transformation/17", 404, "an id is a UUID"),
        ("GET", "/datasets/123456", 404, "there is no dataset 123456"),
        ("GET", "/datasets/none", 404, "dataset_id"),
        ("POST", "/workers", 405, "/workers does not take POST."),
        ("GET", "/?sort=nonsense", 400, "query.sort"),
        ("POST", "/datasets/1/delete", 403, "the form is not from this service's own page"),
        ("GET", f"/<b>{HOSTILE.replace('/', '')}", 404, "There is no page at /<b>"),
    ],
)
def test_errors_are_pages_for_people_and_json_for_programs(
    client: httpx.Client, ids: dict[str, str], method: str, path: str, status: int, sentence: str
) -> None:
    page = client.request(method, path, headers=BROWSER)
    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    found = Tags(page.text)
    assert sentence in found.text
    assert {"/", "/getting-started"} <= set(links(page.text))
    assert [tag for tag, _ in found.tags].count("h1") == 1
    assert not [tag for tag, _ in found.tags if tag == "b"]
    said = client.request(method, path)
    assert (said.status_code, said.headers["content-type"]) == (status, "application/json")
    assert list(said.json()) == ["message"]
    assert page.headers.get("allow") == said.headers.get("allow")


def test_the_services_own_mistake_is_a_page_with_the_way_home(
    served: Site, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("delivery.service.pages.routes.listing.request_list", broken)
    with capture_logs() as logged:
        page = client.get("/", headers=BROWSER)
        assert client.get("/").json()["message"].startswith("the service made a mistake")
    assert [one["event"] for one in logged].count("unforeseen") == 2
    assert page.status_code == 500
    assert "the service made a mistake (RuntimeError)" in Tags(page.text).text
    assert "hunter2" not in page.text
    assert "/" in links(page.text)


def test_objects_errors_stay_what_s3_clients_read(client: httpx.Client) -> None:
    answer = client.get("/0123-no-bucket/no-object", headers=BROWSER | {"Authorization": "AWS a:b"})
    assert answer.status_code in (403, 404)
    assert answer.headers["content-type"] == "application/xml"


def test_a_request_without_files_says_why(served: Site, client: httpx.Client, ids: dict[str, str]) -> None:
    def why(name: str) -> str:
        here = f"/transformation-request/{ids[name]}"
        said = str(client.get(f"{here}.json").json()["request"]["files"]["why_none"])
        assert said in Tags(client.get(here).text).text
        assert said in Tags(client.get(f"{here}/logs").text).text
        return said

    assert why("bad").endswith("the dataset user.kchoi:no.such.dataset does not exist in Rucio")
    assert why("lookup") == "The files are not known yet: the dataset is not looked up yet."
    filtered = client.get(f"/transformation-request/{ids['complete']}.json?state=waiting").json()["request"]
    assert filtered["files"]["why_none"] == "No file fits."


def test_a_cutflow_is_written_as_its_query_is(served: Site, client: httpx.Client) -> None:
    """A result's cutflow names variables v0, v1, …: it is shared by all whose queries mean the same."""
    text = "(Where (call EventDataset 'f' 't') (lambda (list evt) (> (Count (Where (attr evt 'pt') {})) 2)))"
    query = text.format("(lambda (list p) (> p 20))")
    asked = f"(Select {query} (lambda (list evt) (attr evt 'met')))"
    shared = "(> (Count (Where (attr v0 'pt') (lambda (list v1) (> v1 20)))) 2)"
    rows = ((shared, 40), ("(< (attr v0 'met') 9)", 30), ("MET_pt > 20", 3))

    def work(session: Session) -> str:
        transform = submit(session, "cuts", ["/a.root"], selection=asked)
        finish(session, files_of(session, transform)[0], events=50, cutflow=rows)
        return transform.request_id

    view = client.get(f"/transformation-request/{served.service.database.transact(work)}.json").json()["request"]
    assert [step["text"] for step in view["cutflow"]] == [
        "events read", "evt.pt.Where(lambda p: p > 20).Count() > 2", "v0.met < 9", "MET_pt > 20"
    ]  # fmt: skip


def test_lists_of_files_are_called_by_what_they_hold(served: Site, client: httpx.Client) -> None:
    def titled(paths: list[str]) -> str:
        transform = served.service.database.transact(lambda session: submit(session, f"named {paths}", paths))
        page = client.get(f"/datasets/{transform.dataset_id}").text
        title = str(client.get(f"/datasets/{transform.dataset_id}.json").json()["dataset"]["title"])
        assert title in Tags(page).text
        assert title in Tags(client.get("/datasets").text).text
        assert title in Tags(client.get(f"/transformation-request/{transform.request_id}").text).text
        return title

    assert titled(["/data/a.root"]) == "a.root"
    assert titled(["https://me:pw@host/b.root?sig=1", "root://host//c.root"]) == "2 files: b.root, c.root"
    assert titled([f"/data/{n}.root" for n in range(12)]) == "12 files: 0.root, 1.root …"


def test_datasets_come_page_by_page(tmp_path: Path) -> None:
    with site(tmp_path / "data") as served, served.client() as client:
        served.service.database.transact(lambda s: [submit(s, f"number {n}", [f"/{n}.root"]) for n in range(60)])
        first, second = (client.get(f"/datasets.json?page={n}").json() for n in (1, 2))
        assert [row["title"] for row in first["rows"] + second["rows"]] == [f"{n}.root" for n in reversed(range(60))]
        assert "?page=2" in links(client.get("/datasets").text)


def test_files_say_how_often_they_were_tried_or_that_they_were_reused(
    client: httpx.Client, ids: dict[str, str]
) -> None:
    page = client.get(f"/transformation-request/{ids['complete']}").text
    cells = re.findall(r'data-label="Attempts">(.*?)</td>', page)
    assert ["reused" if "reused" in cell else cell for cell in cells] == ["1", "1", "1", "reused"] * 6


def form_token(page: str) -> str:
    return next(a["value"] or "" for tag, a in Tags(page).tags if tag == "input" and a.get("name") == "token")


def test_forms_act_only_with_this_services_token(served: Site, client: httpx.Client) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "to cancel", ["/a.root"]))
    here = f"/transformation-request/{transform.request_id}"

    def status() -> str:
        return str(client.get(f"/servicex/transformation/{transform.request_id}").json()["status"])

    for wrong in ({}, {"token": ""}, {"token": "0" * 64}, {"token": "é"}):
        assert client.post(f"{here}/cancel", data=wrong).status_code == 403
    assert status() == "Running"
    token = form_token(client.get(here).text)
    answer = client.post(f"{here}/cancel", data={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, here)
    assert status() == "Canceled"
    assert client.post(f"{here}/cancel", data={"token": token}).status_code == 409
    assert client.post(f"{here}/retry", data={"token": token}).status_code == 303
    assert status() == "Running"
    assert client.post(f"{here}/delete", data={"token": token}).headers["location"] == "/"
    assert client.get(here).status_code == 404


def test_a_dataset_is_shown_and_forgotten(served: Site, client: httpx.Client) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "listed", ["/a.root", "/b.root"]))
    page = client.get(f"/datasets/{transform.dataset_id}")
    assert "/b.root" in page.text
    assert transform.request_id in page.text
    client.post(f"/datasets/{transform.dataset_id}/delete", data={"token": form_token(page.text)})
    shown = [row["id"] for row in client.get("/datasets.json").json()["rows"]]
    assert transform.dataset_id not in shown
    all_of_them = [row["id"] for row in client.get("/datasets.json?deleted=true").json()["rows"]]
    assert transform.dataset_id in all_of_them


def test_the_guide_holds_this_servers_address(client: httpx.Client) -> None:
    import yaml

    guide = client.get("/getting-started.json").json()
    configured = yaml.safe_load(guide["configuration"])
    endpoint = configured["api_endpoints"][0]
    assert endpoint["endpoint"] == str(client.base_url).rstrip("/")
    assert configured["default_endpoint"] == endpoint["name"]
    assert "token" not in endpoint
    compile(guide["first_query"], "guide", "exec")


def test_secrets_in_paths_and_errors_are_not_shown(served: Site, client: httpx.Client) -> None:
    path = "https://user:hunter2@data.example.org/f.root?authz=sesame"
    transform = served.service.database.transact(lambda session: submit(session, "signed", [path]))
    served.service.database.transact(lambda session: finish(session, files_of(session, transform)[0]))
    for end in ("", ".json", "/results", "/logs", "/logs.json"):
        text = client.get(f"/transformation-request/{transform.request_id}{end}").text
        assert "hunter2" not in text, end
        assert "sesame" not in text, end


def test_columns_are_inferred_from_the_first_file(tmp_path: Path, shared_data: Path) -> None:
    file = shared_data / "root" / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
    with site(tmp_path / "data", inputs={"roots": [str(file.parent)]}) as served, served.client() as client:
        transform = served.service.database.transact(lambda session: submit(session, "columns", [str(file)]))
        found = client.get(f"/transformation-request/{transform.request_id}.json").json()["columns"]
    assert "inferred" in found["source"]
    columns = [(row["name"], row["type"]) for row in found["rows"] if not row["depth"]]
    assert columns == [
        ("run", "uint32"), ("luminosityBlock", "uint32"), ("event", "uint64"),
        ("Electron", "list of records"), ("Muon", "list of records"), ("Jet", "list of records"),
    ]  # fmt: skip
    assert {"name": "pfRelIso04_all", "type": "float32", "depth": 1} in found["rows"]


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, Any], Transform]]:
    with site(tmp_path_factory.mktemp("signed") / "data", sign_in=True) as served:
        key = served.service.secret.signing_key
        with served.service.database.session() as session:
            people = [
                users.add(session, name, role=role)
                for name, role in (("ana", "user"), ("ben", "user"), ("eve", "admin"))
            ]
            for user in people:
                users.new_token(session, user, key)
            theirs = submit(session, "ana's own", ["/a.root"], owner_id=people[0].id)
        headers = {
            user.name: {"Authorization": f"Bearer {sign(key, Claims('access', user.id, 1), 600)}"} for user in people
        }
        yield served, headers, theirs


def test_a_page_sends_strangers_to_sign_in(signed_in: tuple[Site, dict[str, Any], Transform]) -> None:
    served, _, theirs = signed_in
    with served.client() as client:
        for path in [*PAGES, f"/transformation-request/{theirs.request_id}", "/?search=a b&page=2"]:
            answer = client.get(path, headers=BROWSER)
            assert answer.status_code == 303, path
            back = parse_qs(urlsplit(answer.headers["location"]).query)["next"]
            assert (httpx.URL(path), "/sign-in") == (httpx.URL(back[0]), urlsplit(answer.headers["location"]).path)
            assert client.get(path).json()["message"].startswith("this service needs sign-in")
            twin = "/index.json" if path.startswith("/?") or path == "/" else f"{path}.json"
            assert client.get(twin).status_code == 401
        answer = client.post(f"/transformation-request/{theirs.request_id}/cancel", headers=BROWSER)
        assert answer.status_code == 401  # what was sent would be lost on the way to the form
        assert "/sign-in" in links(answer.text)


def test_people_see_their_own_and_admins_see_all(signed_in: tuple[Site, dict[str, Any], Transform]) -> None:
    served, headers, theirs = signed_in
    here = f"/transformation-request/{theirs.request_id}"
    with served.client() as client:
        seen = {name: client.get("/index.json", headers=one).json()["total"] for name, one in headers.items()}
        assert seen == {"ana": 1, "ben": 0, "eve": 1}
        assert client.get("/index.json?whose=own", headers=headers["eve"]).json()["total"] == 0
        for end in ("", "/results", "/logs", "/downloads.txt", ".json"):
            assert client.get(here + end, headers=headers["ben"]).status_code == 403
            assert client.get(here + end, headers=headers["eve"]).status_code == 200
        assert client.get("/users", headers=headers["ben"]).status_code == 403
        assert "ana" in client.get("/users", headers=headers["eve"]).text
        token = form_token(client.get(here, headers=headers["ana"]).text)
        assert client.post(f"{here}/cancel", data={"token": token}, headers=headers["ben"]).status_code == 403
        assert client.post(f"{here}/cancel", data={"token": token}, headers=headers["ana"]).status_code == 303


def test_the_profile_gives_a_configuration_that_signs_in(signed_in: tuple[Site, dict[str, Any], Transform]) -> None:
    import yaml

    served, headers, _ = signed_in
    with served.client() as client:
        page = client.get("/profile", headers=headers["ana"]).text
        answer = client.post("/profile/servicex.yaml", data={"token": form_token(page)}, headers=headers["ana"])
        token = yaml.safe_load(answer.text)["api_endpoints"][0]["token"]
        refreshed = client.post("/token/refresh", headers={"Authorization": f"Bearer {token}"}).json()["access_token"]
        own = client.get("/servicex/transformation", headers={"Authorization": f"Bearer {refreshed}"}).json()
    assert [one["title"] for one in own["requests"]] == ["ana's own"]


def test_nobody_acts_on_anothers_request_or_list_of_files(signed_in: tuple[Site, dict[str, Any], Transform]) -> None:
    """Not with a form of one's own either."""
    served, headers, theirs = signed_in
    here = f"/transformation-request/{theirs.request_id}"
    with served.client() as client:
        token = form_token(client.get("/profile", headers=headers["ben"]).text)
        before = client.get(f"{here}.json", headers=headers["ana"]).json()["request"]["row"]["version"]
        for path in (*(f"{here}/{what}" for what in ("cancel", "retry", "delete")), "/datasets/1/delete"):
            answer = client.post(path, data={"token": token}, headers=headers["ben"] | BROWSER)
            assert answer.status_code == 403, path
            said = Tags(answer.text).text
            assert "You are signed in as ben." in said
            assert "not authorized" in said or "another user's list of files" in said
        assert client.get("/datasets.json", headers=headers["ben"]).json()["rows"] == []
        assert client.get(f"{here}.json", headers=headers["ana"]).json()["request"]["row"]["version"] == before


def test_an_open_request_says_what_keeps_the_workers_from_it(
    served: Site, client: httpx.Client, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = "the workers cannot be reached: no route to tcp://10.0.3.1:8786"
    monkeypatch.setattr(served.service.runner, "health", lambda: {"leads": True, "problem": problem})
    assert problem in Tags(client.get(f"/transformation-request/{ids['running']}").text).text
    assert problem not in client.get(f"/transformation-request/{ids['complete']}").text
    assert problem in Tags(client.get("/workers").text).text
