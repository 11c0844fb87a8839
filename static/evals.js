// Evaluations: rows open beside the table, the dialog that keeps rows, a form that sends itself. Pages work without it.
(() => {
"use strict";
const doc = document;

// A row opens in the pane beside; the address follows, and back leads back
async function show(url, push) {
  const answer = await fetch(url, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return location.assign(url);
  const box = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("row"), panes = doc.getElementById("panes");
  if (!box || !panes) return location.assign(url);
  doc.getElementById("row")?.remove();
  panes.append(box);
  panes.classList.remove("e-one");
  panes.querySelector(":scope>.pane:first-child").removeAttribute("data-on");
  htmx.process(box);
  if (push) history.pushState({ row: true }, "", url);
  mark();
  box.querySelector("[data-row-close]").focus({ preventScroll: true });
}
function hide(url, push) {
  const box = doc.getElementById("row"), panes = doc.getElementById("panes");
  if (!box || !panes) return;
  const number = shown();
  box.remove();
  panes.classList.add("e-one");
  panes.querySelector(":scope>.pane:first-child").setAttribute("data-on", "");
  if (push) history.pushState({}, "", url);
  mark();
  doc.querySelector(`#r${number} [data-row]`)?.focus({ preventScroll: true });
}
const at = () => /\/rows\/(\d+)\//.exec(location.pathname);
const shown = () => at()?.[1];
function mark() {
  const number = doc.getElementById("row") && shown();
  for (const row of doc.querySelectorAll("#rows tbody tr")) if (row.id === `r${number}`) row.setAttribute("aria-selected", "true"); else row.removeAttribute("aria-selected");
}
doc.addEventListener("click", (event) => {
  if (event.target.closest("[data-keep]")) return doc.getElementById("keep").showModal();  // htmx fills it
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest("[data-row],[data-row-close]");
  if (link) {
    event.preventDefault();
    if (link.matches("[data-row]")) show(link.href, true).catch(() => location.assign(link.href)); else hide(link.href, true);
  }
});
addEventListener("popstate", () => { if (!doc.getElementById("panes")) return; if (at()) show(location.href, false).catch(() => location.reload()); else hide("", false); });
doc.addEventListener("keydown", (event) => {
  const box = doc.getElementById("row");
  if (event.key !== "Escape" || !box || event.defaultPrevented || doc.querySelector("dialog[open],:popover-open") || event.target.closest("input,textarea,select")) return;
  box.querySelector("[data-row-close]").click();
});

// Log lines of the job are not shown here; what the page shows follows its own topics
doc.addEventListener("live:frame", (event) => {
  if (event.target.id === "evaluation" && event.detail.target === "#job-lines") event.preventDefault();
});
for (const name of ["live:painted", "htmx:afterSettle", "htmx:load"]) doc.addEventListener(name, mark);

// A form that sends itself when it is changed needs no button
for (const form of doc.querySelectorAll("[data-auto]")) {
  form.querySelector("[data-auto-hide]").hidden = true;
  form.addEventListener("change", () => form.submit());
}
mark();
})();
