// The list of traces: choosing rows, a time by dragging over the strip, and what is new meanwhile. Pages work without it.
(() => {
"use strict";
const doc = document;
let last, paused = false, leaving = false;

// Choosing: a click, shift for all between, the box in the head for the page
const boxes = () => [...doc.querySelectorAll("[data-choose]")];
function tellChosen() {
  const bar = doc.querySelector("[data-bulk]"), all = doc.querySelector("[data-ui=choose-all]");
  if (!bar) return;
  const some = boxes(), chosen = some.filter((box) => box.checked).length, head = doc.querySelector("[data-choose-page]");
  for (const box of some) box.checked ? box.closest("tr").setAttribute("aria-selected", "true") : box.closest("tr").removeAttribute("aria-selected");
  if (!chosen) all.checked = false;
  bar.hidden = !chosen;
  bar.querySelector("[data-chosen]").textContent = all.checked ? "All selected" : `${chosen} selected`;
  head.checked = chosen > 0 && chosen === some.length;
  head.indeterminate = chosen > 0 && chosen < some.length;
}
doc.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches("[data-choose]")) return;
  const some = boxes(), [from, to] = [some.indexOf(last), some.indexOf(box)].sort((a, b) => a - b);
  if (event.shiftKey && from >= 0) for (const one of some.slice(from, to + 1)) one.checked = box.checked;
  last = box;
  tellChosen();
});
doc.addEventListener("change", ({ target }) => {
  if (target.matches("[data-choose-page]")) for (const box of boxes()) box.checked = target.checked;
  if (target.matches("[data-choose-page],[data-ui=choose-all]")) tellChosen();
});

// x chooses the row that has the focus
doc.addEventListener("keydown", (event) => {
  const box = event.key === "x" && !event.ctrlKey && !event.metaKey && !("noKeys" in doc.body.dataset) && !event.target.closest("input,textarea,select") && doc.activeElement.closest("tr")?.querySelector("[data-choose]");
  if (box) box.click();
});

// A time, by dragging over the strip
let from = null;
const share = (strip, event) => {
  const box = strip.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
};
function shade(strip, to) {
  const mark = strip.querySelector("[data-drag]"), [a, b] = [from, to].sort((x, y) => x - y);
  mark.hasAttribute("hidden") && mark.removeAttribute("hidden");
  mark.setAttribute("x", a * 100 + "%");
  mark.setAttribute("width", (b - a) * 100 + "%");
}
doc.addEventListener("pointerdown", (event) => {
  const strip = event.target.closest?.("[data-strip]");
  if (!strip || event.button) return;
  from = share(strip, event);
  strip.setPointerCapture(event.pointerId);
});
doc.addEventListener("pointermove", (event) => {
  const strip = from !== null && event.target.closest?.("[data-strip]");
  if (strip) shade(strip, share(strip, event));
});
doc.addEventListener("pointerup", (event) => {
  const strip = from !== null && event.target.closest?.("[data-strip]"), start = from;
  from = null;
  if (!strip) return;
  const [a, b] = [start, share(strip, event)].sort((x, y) => x - y), { start: first, end } = strip.dataset;
  if (b - a < 0.01) return strip.querySelector("[data-drag]").setAttribute("hidden", "");
  const at = (place) => new Date((Number(first) + place * (end - first)) * 1000).toISOString().slice(0, 19);
  const url = new URL(location.href);
  for (const name of ["range", "after", "before", "at"]) url.searchParams.delete(name);
  url.searchParams.set("from", at(a));
  url.searchParams.set("to", at(b) === at(a) ? at(b + 1.5 / (end - first)) : at(b));
  location.assign(url);
});
doc.addEventListener("pointercancel", () => { from = null; });

// What is new: the part beside the table is fetched anew; rows that are open are brought up to date from it
doc.addEventListener("live:frame", (event) => {
  const { target, detail } = event, v = detail.v;
  if (target.matches("[data-first]") && v?.new && !leaving) return location.reload();
  if (target.id !== "trace-news") return;
  const shown = v?.changed?.some((id) => doc.querySelector(`#trace-${CSS.escape(id)}[data-open=yes]`));
  if (paused || (v && !v.new && !shown)) event.preventDefault();
});
doc.addEventListener("submit", () => { leaving = true; }); // its answer leads to what the news are about

// Who filters goes on filtering: the field keeps the focus over the page that follows
const AGAIN = "#q";
doc.addEventListener("submit", ({ target }) => {
  if (target.dataset.ui === "filter-form" && doc.activeElement?.id === "q") target.setAttribute("action", target.getAttribute("action").split("#")[0] + AGAIN);
});
function goOn() {
  if (location.hash !== AGAIN) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  doc.getElementById("q")?.focus();
}
function bringUp() {
  const rows = doc.querySelector("#trace-news [data-rows]");
  for (const fresh of rows?.querySelectorAll("tr") || []) {
    const row = doc.getElementById(fresh.dataset.for);
    if (!row) continue;
    row.dataset.open = fresh.dataset.open;
    [...fresh.cells].forEach((cell, at) => at && cell.outerHTML !== row.cells[at].outerHTML && row.cells[at].replaceWith(cell.cloneNode(true)));
    consoleUI.tellTimes(row);
  }
  rows?.remove();
}
doc.addEventListener("live:painted", ({ target }) => target.id === "trace-news" && bringUp());
doc.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  paused = !paused;
  button.setAttribute("aria-pressed", paused);
  button.querySelector("span").textContent = paused ? "Go on" : "Pause";
  const use = button.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, paused ? "#play" : "#square"));
  if (!paused) live.refetch(doc.getElementById("trace-news"));
});
doc.addEventListener("keydown", (event) => {
  const fresh = doc.querySelector("#trace-news [data-new]");
  if (event.key === "." && fresh && !event.target.closest("input,textarea,select") && !("noKeys" in doc.body.dataset) && !doc.querySelector("dialog[open]")) fresh.click();
});

function ready() {
  const pause = doc.querySelector("[data-pause]");
  if (pause) pause.hidden = false;
  tellChosen();
  goOn();
}
for (const name of ["htmx:load", "pageshow"]) addEventListener(name, ready);
ready();
})();
