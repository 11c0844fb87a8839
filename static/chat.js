// The chat and the waiting inbox beside links and forms: the composer, timers, staying at the end of a growing answer,
// the pane at the side, keys. What happens in a turn is painted by live.js; here is decided which replayed frames to skip.
(() => {
"use strict";
const doc = document, $ = (selector, from = doc) => from.querySelector(selector);
const scroller = doc.getElementById("turn-scroll"), form = doc.getElementById("composer"), box = doc.getElementById("msg");
const state = () => doc.getElementById("chat-state")?.dataset.state || "idle";
const may = "can" in doc.body.dataset, narrow = () => matchMedia("(max-width:1100px)").matches;
const wide = matchMedia("(min-width:1101px) and (pointer:fine)").matches; // a phone's keyboard would cover half the page

const going = new Set(); // the turns that were seen to begin or go on, until their end
// Frames: a page that shows a running turn is told its events again, and keeps what it has already
doc.addEventListener("live:frame", (event) => {
  const element = event.target, frame = event.detail;
  if ("beside" in element.dataset && frame.k !== "resync") return event.preventDefault();
  if (element.id === "turns" && (frame.e || frame.k === "resync" || frame.target === "#chat-state")) follow(frame);
  if (element.id === "session-list" && frame.k === "state" && !doc.getElementById("sess-" + frame.v.session_id)) return event.preventDefault();
  if (element.id !== "turns") return;
  if (frame.e === "turn") $("[data-ui=greeting]")?.remove();
  if (has(frame)) return event.preventDefault();
  if (frame.e === "turn") going.add(frame.id);
  if (frame.e === "resumed") going.add(frame.target.slice(1));
  if (frame.e === "end") finished(doc.querySelector(frame.target));
});
function has(frame) {
  if (frame.e === "turn" || frame.e === "step") {
    const shown = doc.getElementById(frame.id);
    return Boolean(shown) && (frame.k !== "html" || frame.swap === "append" || !("open" in shown.dataset) || Boolean(textOf(frame.id.slice(5))));
  }
  if (frame.k !== "delta" && frame.k !== "block") return false;
  const text = textOf(frame.s);
  // A block that begins before what is painted already would be shown twice; the finished step brings the whole.
  if (text) return frame.k === "block" && frame.f < Number(text.dataset.done) && frame.o > Number(text.dataset.done);
  const row = doc.getElementById("step-" + frame.s);
  return Boolean(row) && !("open" in row.dataset);
}
const textOf = (step) => $(`[data-live-text="${CSS.escape(step)}"]`);

// The pane beside follows the newest turn, and the step picked in it, until the reader picks another turn. What a step
// wrote is stored about a second after it began: a running turn is asked for once more then.
const asked = new URLSearchParams(location.search).get("turn");
let following = !asked || isLast(asked), picked = "", moved = false, followAt = 0, followedAt = 0, chosenAt = 0;
function isLast(turn) { return [...doc.querySelectorAll("[data-ui=turn]")].pop()?.id === "turn-" + turn; }
function follow(frame) {
  if (frame?.e === "turn" && !doc.getElementById(frame.id)) picked = "";
  moved ||= frame?.e === "resumed"; // it goes on in a trace of its own
  if (!following || followAt || (narrow() && !$("#side[data-on]"))) return;
  followAt = setTimeout(() => {
    followAt = 0;
    if (Date.now() - chosenAt < 600) return follow(frame); // first what the reader asked for
    followedAt = Date.now();
    const pane = $("#side .bar")?.dataset.paneIs;
    if (!pane || pane === "agent" || (pane === "trace" && !moved && isLast($("#side .bar").dataset.paneOf))) return; // a trace follows itself
    moved = false;
    const turn = picked && `&turn=${$("#side .bar").dataset.paneOf}&step=${picked}`;
    htmx.ajax("GET", `${location.pathname}side/?pane=${pane}${turn}&follow=1`, { target: "#side", swap: "morph:innerHTML" });
    if (frame?.e === "step") setTimeout(follow, 1300);
  }, Math.max(100, followedAt + 1000 - Date.now(), chosenAt + 700 - Date.now()));
}

// What the reader chose meanwhile is not taken away by an answer that was on its way
doc.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id === "side" && detail.requestConfig.path.endsWith("follow=1") && chosenAt >= followedAt) detail.shouldSwap = false;
});

// One announcement for each finished answer. A quick turn is over already when its beginning is painted, so its article
// was never busy: what counts is that it was seen to begin.
function finished(turn) {
  if (!turn || !(going.delete(turn.id) || turn.hasAttribute("aria-busy"))) return;
  const { id } = turn;
  setTimeout(() => {
    const now = doc.getElementById(id), text = $("[data-ui=answer]", now)?.textContent.trim();
    const { activeElement } = doc, free = activeElement === doc.body || (activeElement === box && !box.value);
    if (now?.dataset.status === "waiting" && free && wide) $("[data-ui=result]", now)?.focus({ preventScroll: true });
    const words = { waiting: "The agent waits for an answer to its tool call.", failed: "The turn failed.", cancelled: "The turn was stopped." };
    $("[data-ui=announcer]").textContent = words[now?.dataset.status] || (text ? "Answer: " + text.slice(0, 1000) : "The turn is over.");
  }, 300);
}

// Timers of what runs or waits
function span(ms) {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 60) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
let clock;
function tick() {
  const running = doc.querySelectorAll("[data-since]");
  for (const one of running) one.textContent = span(Date.now() - new Date(one.dataset.since));
  if (!running.length) { clearInterval(clock); clock = 0; }
}
function wind() {
  if (doc.querySelector("[data-since]")) { tick(); clock ||= setInterval(() => doc.hidden || tick(), 500); }
}

// The end of a growing answer stays in sight while the reader is there
let atEnd = true;
const newText = $("[data-ui=new-text]");
function toEnd() {
  if (!scroller) return;
  scroller.scrollTop = scroller.scrollHeight;
  atEnd = true;
  newText.hidden = true;
}
if (scroller) {
  scroller.addEventListener("scroll", () => {
    atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
    if (atEnd) newText.hidden = true;
  }, { passive: true });
  let height = 0;
  const grown = new ResizeObserver(() => {
    const now = doc.getElementById("turns").offsetHeight, more = now > height;
    height = now;
    if (atEnd) toEnd(); else if (more && state() === "running") newText.hidden = false;
  });
  grown.observe(doc.getElementById("turns"));
  newText.addEventListener("click", () => { toEnd(); box?.focus(); });
  const named = location.hash.startsWith("#turn-") && doc.getElementById(location.hash.slice(1));
  if (named) { atEnd = false; named.scrollIntoView(); } else toEnd();
}
// Earlier turns come in above; what is read stays where it is
let below = 0;
doc.addEventListener("htmx:beforeSwap", (event) => { if (event.target.id === "earlier") below = scroller.scrollHeight - scroller.scrollTop; });
doc.addEventListener("htmx:afterSwap", () => { if (below) { scroller.scrollTop = scroller.scrollHeight - below; below = 0; } });

// The composer
function fit() {
  if (!box) return;
  box.style.height = "auto";
  box.style.height = Math.min(box.scrollHeight, 240) + "px";
}
function lastQuestion() {
  return [...doc.querySelectorAll("[data-ui=question] .said")].pop()?.textContent || "";
}
box?.addEventListener("input", fit);
box?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (box.value.trim() || files?.files.length) form.requestSubmit();
  }
  if (event.key === "ArrowUp" && !box.value) {
    event.preventDefault();
    box.value = lastQuestion();
    box.setSelectionRange(box.value.length, box.value.length);
    fit();
  }
});
doc.addEventListener("chat-sent", () => {
  form.reset();
  box.value = "";
  files?.dispatchEvent(new Event("change"));
  fit();
  toEnd();
});
const files = doc.getElementById("files"), fileList = doc.getElementById("file-list");
function listFiles() {
  const chosen = [...files.files], max = Number(files.dataset.max);
  const tooBig = chosen.filter((file) => file.size > max);
  if (tooBig.length) {
    consoleUI.toast(`${tooBig.map((file) => file.name).join(", ")}: over ${max / 1e6} MB and left out.`, "error");
    return put(chosen.filter((file) => file.size <= max));
  }
  fileList.replaceChildren(...chosen.map((file, place) => {
    const item = doc.createElement("li"), drop = doc.createElement("button");
    item.className = "tag";
    item.textContent = `${file.name} · ${file.size > 1e6 ? (file.size / 1e6).toFixed(1) + " MB" : Math.ceil(file.size / 1e3) + " kB"}`;
    drop.type = "button";
    drop.className = "x";
    drop.textContent = "×";
    drop.setAttribute("aria-label", "Remove " + file.name);
    drop.addEventListener("click", () => put([...files.files].filter((_, other) => other !== place)));
    item.append(drop);
    return item;
  }));
  fileList.hidden = !chosen.length;
}
function put(chosen) {
  const moved = new DataTransfer();
  chosen.forEach((file) => moved.items.add(file));
  files.files = moved.files;
  listFiles();
}
files?.addEventListener("change", listFiles);
box?.addEventListener("paste", (event) => {
  const pasted = [...event.clipboardData.files];
  if (pasted.length) { event.preventDefault(); put([...files.files, ...pasted]); }
});
form?.addEventListener("dragover", (event) => event.preventDefault());
form?.addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  put([...files.files, ...event.dataTransfer.files]);
});

// Clicks: prompt chips, raw text, panes of small screens, steps in the pane
function show(name) {
  for (const pane of doc.querySelectorAll("[data-pane]")) pane.toggleAttribute("data-on", pane.dataset.pane === name);
  for (const tab of doc.querySelectorAll("[data-show]")) {
    if (tab.dataset.show === name) tab.setAttribute("aria-current", "page"); else tab.removeAttribute("aria-current");
  }
  if (name === "chat" && atEnd) toEnd();
  if (name === "side") follow();
}
function raw(button) {
  const answer = doc.getElementById(button.dataset.raw), on = button.getAttribute("aria-pressed") !== "true";
  const source = doc.getElementById("raw-" + button.dataset.raw.slice(7));
  button.setAttribute("aria-pressed", on);
  answer.hidden = on;
  source.hidden = !on;
  if (on) { source.className = "textarea mono"; source.setAttribute("aria-label", "Raw text"); source.rows = Math.min(24, source.value.split("\n").length + 2); }
}
doc.addEventListener("click", (event) => {
  if (event.target.closest("#side a,[data-side]")) chosenAt = Date.now();
  const button = event.target.closest("[data-say],[data-raw],[data-show],[data-side]");
  if (!button || event.ctrlKey || event.metaKey) return;
  const data = button.dataset;
  if ("say" in data) { box.value = data.say; fit(); box.focus(); }
  if ("raw" in data) raw(button);
  if ("show" in data) { event.preventDefault(); show(data.show); }
  if ("side" in data && doc.getElementById("side")) {
    event.preventDefault();
    following = isLast(new URLSearchParams(data.side).get("turn"));
    picked = "";
    htmx.ajax("GET", location.pathname + "side/" + data.side, { target: "#side" });
    if (narrow()) show("side");
  }
});
// An answer that was taken is out of the inbox at once
doc.addEventListener("htmx:afterRequest", (event) => {
  const inbox = doc.getElementById("inbox"), { elt, successful } = event.detail;
  if (inbox && successful && elt.matches("[data-ui=answer-form]")) [inbox, doc.getElementById("waiting-badge")].forEach(live.refetch);
});
doc.addEventListener("change", (event) => { if (event.target.closest("[data-ui=waiting-filter]")) event.target.form.requestSubmit(); });

// Keys: stop, send an answer, walk the steps
doc.addEventListener("keydown", (event) => {
  const ctrl = event.ctrlKey || event.metaKey;
  if (ctrl && event.key === "." && state() === "running") { event.preventDefault(); doc.getElementById("stop-form")?.requestSubmit(); }
  const card = event.target.closest("[data-ui=answer-form]");
  if (ctrl && event.key === "Enter" && card) { event.preventDefault(); card.requestSubmit($("[data-ui=send-result]", card)); }
  const row = event.target.closest("[data-ui=side-steps] [role=row]");
  if (row) walk(event, row);
});
function walk(event, row) {
  const rows = [...row.parentNode.children], here = rows.indexOf(row);
  const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (event.key === "Enter" && event.target === row) return $("a", row)?.click();
  if (next === undefined || !rows[next]) return;
  event.preventDefault();
  row.tabIndex = -1;
  rows[next].tabIndex = 0;
  rows[next].focus();
}
doc.addEventListener("click", (event) => {
  const row = event.target.closest("[data-ui=side-steps] [role=row]");
  if (row) picked = row.dataset.step || "";
  if (row && !event.target.closest("a")) $("a", row)?.click();
});
// Enter on a row of the inbox leads into its card; the browser would take the focus away again for the #
if (doc.body.dataset.page === "waiting" && location.hash === "#card") {
  history.replaceState(null, "", location.pathname + location.search);
  ($("#card [data-ui=result]") || $("#card input:not([type=hidden],[type=radio])"))?.focus();
}

// What was swapped in: timers, and no buttons for people who only read
function settle() {
  for (const tail of doc.querySelectorAll("[data-live-tail]")) tail.classList.toggle("mono", tail.textContent.startsWith("```"));
  if (!may) for (const one of doc.querySelectorAll("[data-op]")) one.remove();
  wind();
}
for (const name of ["live:painted", "htmx:afterSettle"]) doc.addEventListener(name, settle);
doc.addEventListener("live:painted", (event) => event.target.id === "turns" && follow()); // polled, or caught up
settle();
fit();
// Where somebody writes next
if (box && wide && !doc.activeElement.matches("input,textarea") && !location.hash) {
  (state() === "waiting" ? $("#turns [data-ui=result]") : box)?.focus({ preventScroll: true });
}
})();
