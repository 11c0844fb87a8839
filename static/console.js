// What every page can do beside links and forms: times, colours, dialogs, copying, messages, keys. Pages work without it.
(() => {
"use strict";
const doc = document, body = doc.body, root = doc.documentElement;
const all = (selector, from = doc) => from.querySelectorAll(selector);
const csrf = () => JSON.parse(body.getAttribute("hx-headers") || "{}")["x-csrftoken"];

// Times: the server writes UTC, the reader sees their zone; relative ones move on every half minute
const zone = { timeZone: body.dataset.zone || undefined };
const format = (options) => new Intl.DateTimeFormat("en-GB", { ...options, ...zone });
const clock = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = format({ hour: "2-digit", minute: "2-digit" });
const day = format({ day: "numeric", month: "short" });
const dated = format({ day: "numeric", month: "short", year: "numeric" });
const full = format({ dateStyle: "long", timeStyle: "long" });
const DAY = 86400e3;

function ago(span) {
  if (span < 60e3) return "now";
  if (span < 3600e3) return Math.floor(span / 60e3) + " min";
  if (span < DAY) return Math.floor(span / 3600e3) + " h";
  return Math.floor(span / DAY) + " d";
}
function at(moment, now) {
  if (dated.format(moment) === dated.format(now)) return clock.format(moment);
  if (moment.getFullYear() === now.getFullYear()) return `${day.format(moment)}, ${minutes.format(moment)}`;
  return dated.format(moment);
}
function tellTimes(from = doc) {
  const now = new Date();
  for (const time of all("time[data-when]", from)) {
    const moment = new Date(time.dateTime);
    const words = time.dataset.when === "ago" ? ago(now - moment) : at(moment, now);
    if (time.textContent !== words) time.textContent = words;
    time.title = `${full.format(moment)} (${moment.toISOString().slice(0, 19).replace("T", " ")} UTC)`;
  }
}
setInterval(() => doc.hidden || tellTimes(), 30e3);

// Colours and menu: shown at once, kept by the server
function keep(form, name, value) {
  const data = new FormData(form);
  data.set(name, value);
  fetch(form.action, { method: "POST", body: data, headers: { "X-Quiet": "1" } }).catch(() => {});
}
doc.addEventListener("submit", (event) => {
  const form = event.target, button = event.submitter;
  if (form.id === "theme-menu" && button) {
    event.preventDefault();
    if (button.value === "system") delete root.dataset.theme; else root.dataset.theme = button.value;
    for (const one of all("button", form)) one.setAttribute("aria-pressed", one === button);
    const opener = doc.querySelector("[popovertarget=theme-menu]");
    opener.setAttribute("aria-label", "Theme: " + button.value);
    opener.querySelector("use").setAttribute("href", button.querySelector("use").getAttribute("href"));
    form.hidePopover?.();
    keep(form, "theme", button.value);
  }
  if (form.matches("[data-nav-form]")) {
    event.preventDefault();
    const wide = doc.getElementById("nav").offsetWidth > 100;
    body.dataset.nav = wide ? "rail" : "full";
    keep(form, "nav", body.dataset.nav);
    nameNav();
  }
  if (form.method !== "dialog" && !event.defaultPrevented) saving = true;
});
function nameNav() {
  const button = doc.querySelector("[data-nav-form] button"), wide = doc.getElementById("nav")?.offsetWidth > 100;
  button?.setAttribute("aria-label", wide ? "Fold the menu to icons" : "Show words in the menu");
}

// A form that changes something is sent once: pressed again before it is answered, it does nothing. It is asked last, when
// every other script has had its say. What is stopped on its way can be sent again after a while.
const SENDING_MS = 10e3;
addEventListener("submit", (event) => {
  const form = event.target, data = form.dataset;
  if (event.defaultPrevented || (event.submitter?.getAttribute("formmethod") || form.method) !== "post") return;
  if ("sending" in data) return event.preventDefault();
  data.sending = "";
  setTimeout(() => delete data.sending, SENDING_MS);
});
addEventListener("pageshow", ({ persisted }) => { if (persisted) for (const form of all("form[data-sending]")) delete form.dataset.sending; });

// Messages: errors stay until they are closed
const levels = { error: ["err", "circle-x"], success: ["ok", "circle-check"], warning: ["wait", "triangle-alert"] };
function toast(text, level = "info") {
  const box = doc.getElementById("toast-form").content.firstElementChild.cloneNode(true), use = box.querySelector("use");
  const [tone, icon] = levels[level] || ["off", "info"];
  box.dataset.toast = level;
  box.querySelector(".st").dataset.t = tone;
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#" + icon));
  const words = box.querySelector("section");
  words.textContent = text;
  doc.getElementById("toaster").append(box);
  fade(box);
  return words;
}
const fade = (box) => box.dataset.toast === "error" || setTimeout(() => box.remove(), 8000);
all("#toaster>[data-toast]").forEach(fade);
doc.addEventListener("toast", (event) => toast(event.detail.text || event.detail.value, event.detail.tone));
doc.addEventListener("htmx:responseError", (event) => {
  const answer = event.detail.xhr, where = answer.getResponseHeader("x-request-id");
  toast(`The server answered ${answer.status}.` + (where ? ` Request ${where}` : " Try again."), "error");
});
doc.addEventListener("htmx:sendError", () => toast("The server cannot be reached. Nothing was sent.", "error"));

// One click handler for the parts that need one
async function copy(button) {
  const from = button.dataset.copyFrom && doc.querySelector(button.dataset.copyFrom);
  const link = "copyLink" in button.dataset;  // the address is the state: with filter, order and open row
  const text = link ? location.href : from ? (from.value ?? from.innerText) : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
    toast(link ? "The link is copied." : "Copied", "success");
  } catch {
    offer(text);
  }
}
// Without a clipboard (a page that did not come by HTTPS has none) a person copies by hand
function offer(text) {
  const field = doc.createElement("textarea");
  Object.assign(field, { className: "input mono", readOnly: true, rows: 2, value: text, ariaLabel: "To be copied" });
  toast("The browser does not let this page copy. Copy it from here:", "error").append(field);
  field.select();
}
function reveal(button) {
  const field = doc.querySelector(button.dataset.reveal), shown = field.type === "password";
  field.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", shown);
}
doc.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy],[data-copy-from],[data-copy-link],[data-dialog],[data-close],[data-close-toast],[data-reveal]");
  if (!button) return;
  const data = button.dataset, dialog = data.dialog && doc.getElementById(data.dialog);
  if (dialog) { event.preventDefault(); button.closest("[popover]")?.hidePopover(); dialog.showModal(); }
  if ("close" in data && button.closest("dialog")) { event.preventDefault(); button.closest("dialog").close(); }
  if ("closeToast" in data) button.closest("[data-toast]").remove();
  if ("copy" in data || "copyFrom" in data || "copyLink" in data) copy(button);
  if ("reveal" in data) reveal(button);
});

// A row of a table marked data-opens is opened by a click anywhere on it, as by its first link. What can be clicked
// itself, and text that is being chosen, is left alone.
doc.addEventListener("click", (event) => {
  const row = event.target.closest("[data-opens]");
  if (!row || event.target.closest("a,button,input,label,select,summary") || !getSelection().isCollapsed) return;
  row.querySelector("a").dispatchEvent(new MouseEvent("click", event));
});

// Typed text is not lost by leaving
let saving = false;
doc.addEventListener("input", (event) => { const form = event.target.closest("form[data-unsaved]"); if (form) form.dataset.unsaved = "yes"; });
doc.addEventListener("htmx:afterRequest", ({ detail, target }) => {
  const form = target.closest("form[data-unsaved]");
  if (form && !("sentToSave" in form.dataset) && detail.successful && detail.requestConfig.verb !== "get") form.dataset.unsaved = "";
});
addEventListener("beforeunload", (event) => { if (!saving && doc.querySelector("form[data-unsaved=yes]")) event.preventDefault(); });

// A page that comes back from the browser's memory is as it was left: live parts are asked for, pages without are loaded
const isGone = (answer) => [404, 410].includes(answer.status); // the page then says what became of it
addEventListener("pagehide", () => {
  for (const one of all("dialog[open]")) one.close();
  for (const one of all(":popover-open")) one.hidePopover();
});
addEventListener("pageshow", async ({ persisted }) => {
  if (!persisted) return;
  const hasOwn = doc.querySelector("main [data-live], form[data-unsaved=yes]");
  const answer = hasOwn && await fetch(location.href).catch(() => null);
  if (!hasOwn || (answer && isGone(answer))) return location.reload();
  for (const part of all("[data-live]")) live.refetch(part);
});

// Keys: / filter, ? help, j and k through a list, Esc leaves a field
function step(by) {
  const items = [...all("[data-item]")].filter((item) => item.offsetParent);
  const here = items.findIndex((item) => item.contains(doc.activeElement));
  const next = items[Math.max(0, Math.min(items.length - 1, here + by))];
  (next?.matches("a,button") ? next : next?.querySelector("a,button"))?.focus();
}
doc.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input,textarea,select,[contenteditable]");
  if (event.key === "Escape" && typing && !event.target.closest("dialog,[popover]")) typing.blur();
  if (typing || "noKeys" in body.dataset || doc.querySelector("dialog[open]")) return;
  const acts = {
    "/": () => doc.querySelector("[data-filter]")?.focus(),
    "?": () => doc.getElementById("shortcuts")?.showModal(),
    j: () => step(1),
    k: () => step(-1),
  };
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
});

doc.addEventListener("htmx:load", (event) => tellTimes(event.detail.elt));
doc.addEventListener("live:painted", (event) => tellTimes(event.target));
addEventListener("resize", nameNav);
tellTimes();
nameNav();
doc.querySelector("[data-ui=form-errors]")?.focus();
window.consoleUI = { toast, csrf, tellTimes, isGone, clock: (moment) => clock.format(moment) };
})();
