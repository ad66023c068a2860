// Keeps a page as the server has it: a stream says that something changed, the page is asked for again, and what
// differs in the parts marked data-live is put in place. Focus, open details and scroll stay. Without it the pages
// work as they are.
"use strict";

const stream = document.body.dataset.stream;
const note = document.getElementById("link");
let source = null;
let wanted = false;
let busy = false;
let readyAt = 0;
let later = 0;

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || null : null;
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
}

function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  for (const { name, value } of to.attributes)
    if (from.getAttribute(name) !== value && !(name === "hidden" && from.dataset.copy)) from.setAttribute(name, value);
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const keyed = new Map();
  for (const child of from.children) if (key(child)) keyed.set(key(child), child);
  let here = from.firstChild;
  for (const child of [...to.childNodes]) {
    const known = key(child) ? keyed.get(key(child)) : null;
    if (known && known !== here && known.parentNode === from) from.insertBefore(known, here);
    if (known && known.parentNode === from) here = known;
    if (here && alike(here, child)) {
      morph(here, child);
      here = here.nextSibling;
    } else {
      from.insertBefore(document.adoptNode(child), here);
    }
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

async function refresh() {
  if (busy) return;
  busy = true;
  try {
    while (wanted) {
      wanted = false;
      const pause = readyAt - performance.now();
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      const began = performance.now();
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) return location.reload(); // to the sign-in form: the session is over
      if (answer.status === 404) return gone();
      if (!answer.ok) return say("The service cannot show this page now; what you see may be old.");
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const now = fresh.getElementById(part.id);
        if (now) morph(part, now);
      }
      reveal();
      readyAt = performance.now() + Math.max(250, 3 * (performance.now() - began));
    }
  } catch {
    say("The service does not answer; what you see may be old.");
  } finally {
    busy = false;
  }
}

function say(text) {
  if (note && note.textContent !== text) note.textContent = text;
}

function listen() {
  clearTimeout(later);
  if (!stream || source || document.hidden) return;
  source = new EventSource(stream);
  source.onmessage = () => {
    say("Live");
    wanted = true;
    refresh();
  };
  source.onerror = () => {
    say("Connecting to the service again…");
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    hush(); // the service answered with an error: it is starting or stopping, or the session is over
    wanted = true;
    refresh();
    later = setTimeout(listen, 3000);
  };
}

function hush() {
  clearTimeout(later);
  if (source) source.close();
  source = null;
}

function gone() {
  hush();
  say("This is not there any more: it was deleted.");
}

document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
document.addEventListener("submit", hush); // the page is left: what it does to itself is no news
addEventListener("pagehide", hush);
addEventListener("pageshow", listen);

function reveal() {
  if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  for (const open of document.querySelectorAll(".confirm[open]"))
    if (!open.contains(event.target)) open.open = false;
});

document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector(".confirm[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

reveal();
listen();
