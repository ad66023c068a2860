"""A real service process in a real browser: people sign in and out, act on their own requests, and see it restart."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parent))
from page_browser import CONTRAST, UNLABELLED, Watched, assert_never_reloaded, chromium, never_reloaded
from page_service import files_of, submit
from people import People
from serving import running_service

from delivery.service import state
from delivery.service.database import Database

SECONDS = 120_000.0
"""Milliseconds in which workers have begun, with whatever else the machine does."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


class Lab:
    """A service's folder with its people; `serve` runs a process of it."""

    def __init__(self, folder: Path, inputs: Path) -> None:
        self.folder, self.file = folder, inputs / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
        self.people = People.of(folder / "data")
        self._inputs = inputs

    def serve(self, **settings: Any) -> Any:
        return running_service(self.folder, sign_in=True, inputs={"roots": [str(self._inputs)]}, **settings)

    def change(self, work: Callable[[Session], Any]) -> Any:
        """As another process of the same service would do it."""
        database = Database(f"sqlite:///{self.folder / 'data' / 'service.sqlite'}")
        try:
            return database.transact(work)
        finally:
            database.close()

    def submit(self, title: str, whose: str, paths: list[str]) -> str:
        owner = self.people.ids[whose]
        return str(self.change(lambda session: submit(session, title, paths, owner_id=owner).request_id))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"), shared_data / "root")


@pytest.fixture(scope="module")
def url(lab: Lab) -> Iterator[str]:
    with lab.serve() as service:
        yield service.url


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token of your servicex.yaml").fill(token)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_one_signs_in_where_one_was_going_and_out_again(
    lab: Lab, url: str, browser: Browser, scheme: str, width: int
) -> None:
    watched = Watched(browser, url, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = watched.page
    page.goto("/?search=nothing+fits")
    expect(page.get_by_role("alert")).to_have_count(0)
    sign_in(page, "let-me-in")
    expect(page.get_by_role("alert")).to_contain_text("is not one of this service's")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(UNLABELLED) == []
    sign_in(page, lab.people.refresh["dave"])
    expect(page.get_by_role("alert")).to_contain_text("revoked")
    sign_in(page, lab.people.refresh["alice"])
    page.wait_for_url("**/?search=nothing+fits")
    expect(page.locator("body")).to_contain_text("No request fits.")
    page.get_by_role("link", name="alice").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/profile")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    watched.close("status of 401")


def test_a_configuration_from_the_profile_signs_in(lab: Lab, url: str, browser: Browser) -> None:
    watched = Watched(browser, url)
    page = watched.page
    page.goto("/profile")
    sign_in(page, lab.people.refresh["alice"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download servicex.yaml").click()
    token = next(line for line in download.value.path().read_text().splitlines() if "token:" in line)
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, token.partition(":")[2].strip(" \"'"))
    expect(page.get_by_role("link", name="alice")).to_be_visible()
    watched.close()


def test_people_act_on_their_own_requests_and_admins_on_all(lab: Lab, url: str, browser: Browser) -> None:
    request = lab.submit("alice's own", "alice", [str(lab.file.with_name("not_there.root"))])
    here = f"/transformation-request/{request}"
    alice, bob, root = (Watched(browser, url) for _ in range(3))
    for watched, name in ((alice, "alice"), (bob, "bob"), (root, "root")):
        watched.page.goto("/")
        sign_in(watched.page, lab.people.refresh[name])

    page = alice.page
    page.get_by_role("link", name="alice's own", exact=True).click()
    expect(page.locator("#head .status")).to_have_text("Fatal", timeout=SECONDS)
    expect(page.locator("tr.told")).to_contain_text("it does not exist")
    page.get_by_role("button", name="Retry what failed").click()
    expect(page.locator("#head .status")).to_have_text("Fatal", timeout=SECONDS)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)

    page = bob.page
    expect(page.locator("body")).to_contain_text("Nothing was asked here yet.")
    assert page.goto(here).status == 403  # type: ignore[union-attr]
    expect(page.locator("main")).to_contain_text("You are signed in as bob.")
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    page.get_by_role("link", name="All requests").click()
    expect(page.locator("h1")).to_have_text("Requests")

    page = root.page
    row = page.locator(f"tr[data-key='{request}']")
    expect(row.locator("[data-label=Owner]")).to_have_text("alice")
    page.get_by_label("Whose").select_option("mine")
    page.get_by_role("button", name="Search").click()
    expect(row).to_have_count(0)
    page.get_by_role("link", name="Users").click()
    expect(page.locator("tr[data-key=alice] [data-label=Requests]")).to_have_text("1")
    page.goto(here)
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/")

    page = alice.page  # who watched it is told, where it stands
    expect(page.locator("#link")).to_have_text("This is not there any more: it was deleted.")
    alice.close("status of 404")
    bob.close("status of 403")
    root.close("status of 404")  # its page may have heard of the end before it left


def test_an_ended_session_leads_to_the_form(lab: Lab, url: str, browser: Browser) -> None:
    """A page that stands open does not show for ever what its reader may no longer see."""
    request = lab.submit("dashboard of bob", "bob", [str(lab.file)])
    watched = Watched(browser, url)
    page = watched.page
    page.goto("/")
    sign_in(page, lab.people.refresh["bob"])
    expect(page.locator(f"tr[data-key='{request}']")).to_be_visible()
    expect(page.locator("#link")).to_have_text("Live")
    page.context.clear_cookies()
    lab.submit("one more of bob", "bob", [str(lab.file)])
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    watched.close("status of 401")


def test_a_page_goes_on_after_the_service_restarted(tmp_path: Path, shared_data: Path, browser: Browser) -> None:
    lab = Lab(tmp_path, shared_data / "root")
    with lab.serve() as first:
        port = urlsplit(first.url).port
        watched = Watched(browser, first.url)
        page = watched.page
        page.goto("/")
        sign_in(page, lab.people.refresh["alice"])
        expect(page.locator("#link")).to_have_text("Live")
        never_reloaded(page)
        first.stop()
    expect(page.locator("#link")).to_have_text("Connecting to the service again…", timeout=SECONDS)
    request = lab.submit("asked while it was down", "alice", [str(lab.file)])
    with lab.serve(port=port):
        row = page.locator(f"tr[data-key='{request}']")
        expect(row).to_be_visible(timeout=SECONDS)
        expect(page.locator("#link")).to_have_text("Live")
        expect(row.locator(".status")).to_have_text("Complete", timeout=SECONDS)
        assert_never_reloaded(page)
        row.get_by_role("link", name="asked while it was down", exact=True).click()
        expect(page.locator("#cutflow")).to_contain_text("lambda electron: electron.pt > 30")
        expect(page.locator("#columns")).to_contain_text("list of records")
        files = lab.change(lambda session: len(files_of(session, state.by_request_id(session, request))))
        expect(page.locator("#files tbody tr")).to_have_count(files)
        watched.close("net::ERR_")
