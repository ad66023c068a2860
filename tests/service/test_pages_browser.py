"""The pages in a real browser: what moves without reload, what buttons and keys do, what everybody can read."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent))
from page_browser import CONTRAST, UNLABELLED, Watched, assert_never_reloaded, chromium, never_reloaded
from page_service import HOSTILE, Site, a_day, fail, files_of, finish, site, submit

from delivery.service.database import Database


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("browser") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def ids(served: Site) -> dict[str, str]:
    return served.service.database.transact(a_day)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, served: Site) -> Iterator[Page]:
    watched = Watched(browser, served.url)
    yield watched.page
    watched.close()


def test_progress_moves_without_reload(served: Site, page: Page) -> None:
    transform = served.service.database.transact(lambda s: submit(s, "moving", ["/a.root", "/b.root", "/c.root"]))
    files = served.service.database.transact(lambda session: files_of(session, transform))
    page.goto(f"/transformation-request/{transform.request_id}")
    never_reloaded(page)
    expect(page.locator("#head .count")).to_have_text("0 of 3")
    served.change(lambda session: finish(session, files[0]), transform.request_id)
    expect(page.locator("#head .count")).to_have_text("1 of 3")
    expect(page.locator("tr[data-key=file-0]")).to_contain_text("done")
    expect(page.locator("#cutflow")).to_contain_text("events read")
    served.change(lambda session: finish(session, files[1]), transform.request_id)
    served.change(lambda session: fail(session, files[2], "no such branch"), transform.request_id)
    expect(page.locator("#head .status")).to_have_text("Fatal")
    expect(page.locator("tr[data-key=error-2] .error")).to_have_text("no such branch")
    expect(page.get_by_role("button", name="Retry what failed")).to_be_visible()
    assert_never_reloaded(page)


def test_the_dashboard_shows_what_another_process_does(served: Site, page: Page) -> None:
    page.goto("/")
    never_reloaded(page)
    other = Database(served.service.settings.database_url)
    try:
        with other.session() as session:
            transform = submit(session, "of another process", ["/a.root"])
        row = page.locator(f"tr[data-key='{transform.request_id}']")
        expect(row).to_contain_text("of another process")
        expect(row.locator(".status")).to_have_text("Running")
        with other.session() as session:
            finish(session, files_of(session, transform)[0])
        expect(row.locator(".status")).to_have_text("Complete")
        assert row.locator("progress").evaluate("(bar) => bar.value / bar.max") == 1
    finally:
        other.close()
    assert_never_reloaded(page)


def test_buttons_retry_cancel_and_delete(served: Site, page: Page) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "by hand", ["/a.root"]))
    page.goto("/")
    row = page.locator(f"tr[data-key='{transform.request_id}']")
    row.get_by_role("button", name="Cancel").click()
    expect(page.locator("#head .status")).to_have_text("Canceled")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("#head .status")).to_have_text("Running")
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/")
    expect(page.locator("h1")).to_have_text("Requests")
    expect(row).to_have_count(0)


def test_everything_is_reached_by_keys_and_focus_stays_while_the_page_moves(served: Site, page: Page) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "by keys", ["/a.root", "/b.root"]))
    files = served.service.database.transact(lambda session: files_of(session, transform))
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "by keys":
            break
    link = page.get_by_role("link", name="by keys", exact=True)
    expect(link).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    served.change(lambda session: finish(session, files[0]), transform.request_id)
    expect(page.locator(f"tr[data-key='{transform.request_id}'] .count")).to_have_text("1 of 2")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("by keys")
    page.locator("summary", has_text="Delete…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Delete it")).to_be_visible()
    served.change(lambda session: finish(session, files[1]), transform.request_id)
    expect(page.locator("#head .status")).to_have_text("Complete")
    expect(page.get_by_role("button", name="Delete it")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete it")).to_be_hidden()


def test_what_is_to_be_copied_is_copied(served: Site, browser: Browser) -> None:
    watched = Watched(browser, served.url, permissions=["clipboard-read", "clipboard-write"])
    page = watched.page
    page.goto("/getting-started")
    page.get_by_role("button", name="Copy: servicex.yaml").click()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#configuration").text_content()
    watched.close()


def test_hostile_texts_do_nothing(page: Page, ids: dict[str, str]) -> None:
    for path in ("/", f"/transformation-request/{ids['hostile']}", f"/transformation-request/{ids['hostile']}/logs"):
        page.goto(path)
        expect(page.locator("body")).to_contain_text("<script>alert('x')</script>")
    page.goto(f"/transformation-request/{ids['hostile']}")
    expect(page.locator("h1")).to_have_text(HOSTILE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_read_every_page(
    served: Site, browser: Browser, ids: dict[str, str], scheme: str, width: int
) -> None:
    watched = Watched(browser, served.url, color_scheme=scheme, viewport={"width": width, "height": 800})
    requests = [f"/transformation-request/{one}" for one in ids.values()]
    more = [f"/transformation-request/{ids['fatal']}/{end}" for end in ("results", "logs")]
    pages = ["/", "/datasets", "/datasets/1", "/workers", "/cache", "/profile", "/getting-started", "/users"]
    for path in [*pages, *requests, *more]:
        watched.page.goto(path)
        assert watched.page.evaluate(CONTRAST) == [], path
        assert watched.page.evaluate(UNLABELLED) == [], path
        wide = watched.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} is {wide} pixels too wide"
    watched.close()


def test_pages_work_without_script(served: Site, browser: Browser) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "no script", ["/a.root"]))
    watched = Watched(browser, served.url, java_script_enabled=False)
    page = watched.page
    page.goto("/?search=no+script")
    page.get_by_role("button", name="Cancel").click()
    assert "Canceled" in page.locator("#head").inner_text()
    page.goto(f"/transformation-request/{transform.request_id}")
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete it").click()
    assert page.locator("h1").inner_text() == "Requests"
    watched.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_an_address_that_is_not_there_leads_home(served: Site, browser: Browser, width: int) -> None:
    watched = Watched(browser, served.url, viewport={"width": width, "height": 800})
    page = watched.page
    page.goto("/nowhere")
    expect(page.locator("h1")).to_have_text("Not there")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(UNLABELLED) == []
    page.get_by_role("link", name="All requests").click()
    expect(page.locator("h1")).to_have_text("Requests")
    for name in ("Requests", "Datasets", "Workers", "Cache", "Getting started"):  # none is out of sight
        link = page.get_by_role("navigation", name="Main").get_by_role("link", name=name)
        box = link.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    watched.close("status of 404")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_querys_lines_are_wrapped_in_sight(served: Site, browser: Browser, ids: dict[str, str], width: int) -> None:
    watched = Watched(browser, served.url, viewport={"width": width, "height": 800})
    page = watched.page
    for address, box in (("", "#query-text"), ("/logs", ".log pre"), ("", ".cutflow")):
        page.goto(f"/transformation-request/{ids['complete']}{address}")
        overhang = page.locator(box).first.evaluate("(node) => node.scrollWidth - node.clientWidth")
        assert overhang <= 0, box
    watched.close()
