// Evaluations: rows open beside the table, the dialog that keeps rows. Pages work without it.
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
  live.scan();
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
  const crumb = [...doc.querySelectorAll("[data-ui=crumbs] [aria-current]")].find((one) => one.textContent.startsWith("Row "));
  if (crumb) crumb.hidden = crumb.previousElementSibling.hidden = !number;
  if (crumb && number) crumb.textContent = `Row ${Number(number).toLocaleString("en")}`;
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

// What a person gives the open row: kept at once, by a click or a key; j and k go from row to row
let kept = Promise.resolve(), waiting = 0;
function score(form, button) {
  const data = new FormData(form, button);
  waiting += 1;
  form.dataset.sending = "";
  kept = kept.then(() => send(form, data)).catch(() => consoleUI.toast("The server cannot be reached. The score was not kept.", "error"));
}
async function send(form, data) {
  const answer = await fetch(form.action, { method: "POST", body: data, headers: { "HX-Request": "true" } }).finally(() => { if (!--waiting) delete form.dataset.sending; });
  if (!answer.ok && answer.status !== 422) return consoleUI.toast(`The server answered ${answer.status}. The score was not kept.`, "error");
  if (form.isConnected && !waiting) live.morph(doc.getElementById("human"), await answer.text());
}
function clear(form) {
  const button = form.querySelector("[name=clear]");
  if (!button) return;
  form.elements.note.value = form.elements.note.defaultValue = "";
  score(form, button);
}
doc.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-human]")) return;
  event.preventDefault();
  if (event.submitter?.name === "clear") clear(form); else score(form, event.submitter);
});
doc.addEventListener("change", ({ target }) => {
  const form = target.closest("[data-human]");
  if (form?.elements.score.value) score(form);
});
// A key waits for the row that is on its way: what is pressed after j is meant for the next row
let pressed = Promise.resolve();
const NEIGHBOURS = { j: "[data-ui=later-row]", k: "[data-ui=earlier-row]" };
async function press(key) {
  const box = doc.getElementById("row"), form = box?.querySelector("[data-human]");
  if (key in NEIGHBOURS) {
    const link = box?.querySelector(NEIGHBOURS[key]);
    return link && show(link.href, true).catch(() => location.assign(link.href));
  }
  const mark = form?.querySelector(`[value="${key}"]`);
  if (mark) { mark.checked = true; score(form); }
  else if (form) clear(form);
}
let hint = null;
function tellToOpen() {
  if (!hint?.isConnected) hint = consoleUI.toast("Open a row to score it: click it, or go to it with j and press Enter.");
}
doc.addEventListener("keydown", (event) => {
  const box = doc.getElementById("row"), { key } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || "noKeys" in doc.body.dataset) return;
  if (event.target.closest("input:not([type=radio]),textarea,select,[contenteditable]") || doc.querySelector("dialog[open],:popover-open")) return;
  if (!box) return /^[1-5]$/.test(key) && doc.querySelector("[data-can-score]") && tellToOpen();
  if (!(key in NEIGHBOURS || (box.querySelector("[data-human]") && /^([0-5]|Backspace)$/.test(key)))) return;
  event.preventDefault();
  pressed = pressed.then(() => press(key));
}, true);

// What the estimate or a trial refuses stands beside its field; what was told there goes when it is changed
function place(told) {
  const control = doc.getElementById(told.id.slice(0, -2)), field = control?.closest(".f");
  if (!field) return;
  field.append(told.cloneNode(true));
  field.closest("details")?.setAttribute("open", "");
  if (!control.matches("input,select,textarea")) return;
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", [...new Set([...(control.getAttribute("aria-describedby") ?? "").split(" "), told.id])].join(" ").trim());
}
function unsay(part) {
  for (const told of part.querySelectorAll("[id$='-e']")) told.remove();
  for (const control of part.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}
doc.addEventListener("htmx:afterSwap", ({ target }) => {
  const part = target.closest("#estimate,#trial-rows"), form = doc.getElementById("run-form");
  if (!part || !form) return;
  unsay(form);
  for (const told of part.querySelector("[data-wrong]")?.content.children ?? []) place(told);
});
// Not on change: that comes with a press elsewhere, which would miss what moves up
doc.addEventListener("input", ({ target }) => { const field = target.closest("form .f"); if (field) unsay(field); });

// Log lines of the job are not shown here; its progress comes with the numbers beside it, so that they agree
doc.addEventListener("live:frame", (event) => {
  if (event.target.id !== "evaluation" || !["#job-lines", "#job-progress"].includes(event.detail.target)) return;
  event.preventDefault();
  if (event.detail.target === "#job-progress") live.refetch(event.target);
});
// Rows that are scored say nothing of what people gave the open one
doc.addEventListener("live:frame", (event) => {
  if (event.target.id === "human" && event.detail.v?.event_type === "rows_evaluated") event.preventDefault();
});

// When the run ends while its Cancel has the focus, the button goes and the focus stays near
let held = null;
doc.addEventListener("focusin", ({ target }) => { held = target.closest("#evaluation .e-head") && target; });
doc.addEventListener("live:painted", () => {
  if (held && !held.isConnected && doc.activeElement === doc.body) doc.querySelector("#evaluation h1")?.focus({ preventScroll: true });
});
for (const name of ["live:painted", "htmx:afterSettle", "htmx:load"]) doc.addEventListener(name, mark);

mark();
})();
