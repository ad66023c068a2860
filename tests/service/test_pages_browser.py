"""The pages in a real browser: what moves without reload, what buttons and keys do, what everybody can read."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from page_service import HOSTILE, Site, a_day, fail, files_of, finish, site, submit

from delivery.service.database import Database

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

CONTRAST = """() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
  const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const ground = (node) => { const layers = [];
    for (let one = node; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]); };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest('.hidden, .skip, option')) continue;
    const style = getComputedStyle(node), below = ground(node);
    const text = over(parse(node.closest('svg') ? style.fill : style.color), below);
    const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) low.push([ratio.toFixed(2), node.outerHTML.slice(0, 80)]);
  }
  return low;
}"""

UNLABELLED = """() => {
  const named = (n) => (n.labels && n.labels.length) || n.getAttribute('aria-label')
    || n.getAttribute('aria-labelledby') || n.textContent.trim() || n.querySelector('img[alt]:not([alt=""])');
  const bad = [...document.querySelectorAll(
    'input:not([type=hidden]), select, button, a[href], progress, [tabindex="0"]')]
    .filter((n) => !named(n)).map((n) => n.outerHTML.slice(0, 120));
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption) bad.push('table without caption');
    for (const th of table.querySelectorAll('th')) if (!th.scope) bad.push('th without scope: ' + th.textContent);
  }
  for (const img of document.querySelectorAll('img')) if (!img.hasAttribute('alt')) bad.push('img without alt');
  for (const svg of document.querySelectorAll('svg'))
    if (!svg.getAttribute('aria-label') && svg.getAttribute('aria-hidden') !== 'true') bad.push('svg without a name');
  const ids = [...document.querySelectorAll('[id]')].map((n) => n.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) bad.push('id twice: ' + id);
  for (const n of document.querySelectorAll('[aria-labelledby]'))
    if (!document.getElementById(n.getAttribute('aria-labelledby')) && n.checkVisibility({contentVisibilityAuto: true})
      && n.textContent.trim()) bad.push('labelled by nothing: ' + n.id);
  if (document.querySelectorAll('h1').length !== 1) bad.push('not one h1');
  if (!document.documentElement.lang) bad.push('no language');
  return bad;
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("browser") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def ids(served: Site) -> dict[str, str]:
    return served.service.database.transact(a_day)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("the pages are tested in Chromium; Debian has it: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Watched:
    """A page that minds what a page of ours never does: errors, and calls to anywhere else."""

    def __init__(self, browser: Browser, served: Site, **options: Any) -> None:
        self._context = browser.new_context(base_url=served.url, **options)
        self.page: Page = self._context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda call: None if call.url.startswith(served.url) else self.wrong.append(call.url))

    def close(self) -> None:
        self._context.close()
        assert self.wrong == []


@pytest.fixture
def page(browser: Browser, served: Site) -> Iterator[Page]:
    watched = Watched(browser, served)
    yield watched.page
    watched.close()


def never_reloaded(page: Page) -> None:
    page.evaluate("window.stillTheSame = true")


def assert_never_reloaded(page: Page) -> None:
    assert page.evaluate("window.stillTheSame === true")


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
    expect(page.locator("tr[data-key=file-2] .error")).to_have_text("no such branch")
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
    watched = Watched(browser, served, permissions=["clipboard-read", "clipboard-write"])
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
    watched = Watched(browser, served, color_scheme=scheme, viewport={"width": width, "height": 800})
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
    watched = Watched(browser, served, java_script_enabled=False)
    page = watched.page
    page.goto("/?search=no+script")
    page.get_by_role("button", name="Cancel").click()
    assert "Canceled" in page.locator("#head").inner_text()
    page.goto(f"/transformation-request/{transform.request_id}")
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete it").click()
    assert page.locator("h1").inner_text() == "Requests"
    watched.close()
