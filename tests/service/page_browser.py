"""Chromium as a test drives it, and what it checks on every page: contrast, labels, nothing from elsewhere."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

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


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, until the block ends; what is expected of a page may take its time on a busy machine."""
    expect.set_options(timeout=30_000)
    if CHROMIUM is None:
        pytest.fail("the pages are tested in Chromium; Debian has it: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Watched:
    """A page that minds what a page of ours never does: errors, and calls to anywhere else."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self._context = browser.new_context(base_url=url, **options)
        self.page: Page = self._context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda call: None if call.url.startswith(url) else self.wrong.append(call.url))

    def close(self, *expected: str) -> None:
        """End it; every error of the console must be one of those expected."""
        self._context.close()
        assert [text for text in self.wrong if not any(one in text for one in expected)] == []


def never_reloaded(page: Page) -> None:
    page.evaluate("window.stillTheSame = true")


def assert_never_reloaded(page: Page) -> None:
    assert page.evaluate("window.stillTheSame === true")
