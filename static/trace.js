// The trace page, and the Trace pane of a chat: a windowed treegrid with bars, the map above it, search, the pane beside.
// An element with data-trace becomes a grid; buttons say what they do in data-act. Rows of the window are a ring: row r
// lives in element r % size, so that scrolling by a row fills a row. The focus is the grid's, the row is told by
// aria-activedescendant: rows come and go.
(() => {
"use strict";
const { TraceModel, words, plural, el, put, KINDS, Overview, zoom } = window.traceParts; // the last two only on a page of its own
const doc = document;
const ICONS = ["messages-square", "cpu", "wrench", "shield", "book-open", "ruler", "braces"];
const OVER = 8, THIN = 0.4, TICK_MS = 250, SILENT_MS = 30e3;
const narrow = () => matchMedia("(max-width:1100px)").matches;
let icons = "";

const icon = (name, more = "") => el("svg", { class: `i s ${more}`, "aria-hidden": "true" }, el("use", { href: `${icons}#${name}` }));
class Grid {
  model = new TraceModel(); view = "tree"; rows = []; ring = []; stamp = 0; selected = -1; index = -1; window = null; typed = "";

  constructor(box) {
    this.box = box;
    this.small = "small" in box.dataset;
    this.pane = doc.getElementById(box.dataset.pane);
    this.path = location.pathname;
    icons = box.dataset.icons;
    this.make();
    if (!this.small) this.readAddress();
    this.load();
  }
  make() {
    const cell = (css, ...children) => el("span", { role: "columnheader", class: css }, ...children);
    this.heads = [cell("nm nmh", "Span"), cell("num tok", "Tokens"), cell("num", "Time"), cell("", this.axis = el("svg", { class: "wf", "aria-hidden": "true" }), el("span", { class: "sr" }, "Timeline"))];
    if (this.small) this.heads.splice(1, 1);
    this.head = el("div", { role: "row", class: this.small ? "head sr" : "head", "aria-rowindex": 1 }, ...this.heads);
    this.body = el("div", { role: "rowgroup", class: "rows" });
    this.tree = el("div", { class: this.small ? "tree small" : "tree", role: "treegrid", tabindex: 0, "aria-label": "Spans", "data-ui": "span-grid", "aria-busy": "true" }, el("div", { role: "rowgroup", class: "headg" }, this.head), this.body);
    this.tree.hidden = true;
    this.box.append(this.tree);
    this.box.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(this.box);
    this.tree.addEventListener("keydown", (event) => this.key(event));
    this.tree.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("live:frame", (event) => this.frame(event));
    this.map = this.small ? null : new Overview(this, doc.querySelector("[data-ui=minimap]"));
  }

  // Spans come: the whole over HTTP, then what changes over the socket
  async load(after = 0) {
    if (this.loading) { this.again = true; return; }
    this.loading = true;
    this.model.heardAt = performance.now();
    try {
      const answer = await fetch(this.box.dataset.structure + (after ? `?after=${after}` : ""));
      if (answer.ok) this.took(await answer.json()); else this.fail(`The server answered ${answer.status}.`);
    } catch { this.fail("The server cannot be reached."); }
    this.loading = false;
    if (this.again) { this.again = false; this.load(); }
  }
  fail(text) {
    if (this.model.count) return;
    const note = this.box.querySelector("[data-loading]"), retry = el("button", { class: "btn", type: "button", "data-variant": "outline", "data-act": "retry" }, "Try again");
    if (note) note.replaceChildren(el("p", {}, `The spans could not be read. ${text}`), retry);
  }
  took(cols) {
    const first = !this.model.count;
    if (first && !cols.id.length) { // a chat is quicker than the store
      this.tries = (this.tries || 0) + 1;
      return this.tries < 9 ? setTimeout(() => this.load(), 700) : this.fail("They were not stored, or are older than traces are kept.");
    }
    this.model.take(cols);
    this.box.querySelector("[data-loading]")?.remove();
    this.tree.hidden = false;
    put(this.tree, "aria-busy", null);
    this.draw();
    if (first) this.begin();
    this.tools();
    this.wind();
  }
  begin() {
    const wanted = Number(this.box.dataset.selected), place = this.model.at.get(wanted) ?? this.model.order[0];
    if (place === undefined) return;
    if (this.small && this.model.live) setTimeout(() => this.load(), 1200); // what came before the socket listened
    if (this.view === "self") { this.index = 0; return this.draw(); } // asked for by the address: to choose a span is to leave it
    const shown = Number(this.pane?.querySelector("[data-number]")?.dataset.number), { step } = this.box.dataset;
    if (step) showStep(step);
    this.select(place, { detail: shown !== this.model.number[place], quiet: true });
  }
  frame(event) {
    const { detail } = event;
    event.preventDefault();
    if (detail.k === "resync") return this.load();
    if (detail.k !== "spans") return;
    if (!this.model.count) { this.again = true; return; }
    this.took(detail.cols);
    const head = doc.getElementById("trace-head"), picked = this.model.number[this.selected];
    if (head && !this.small) live.refetch(head);
    if (detail.cols.id.reduce(([at, hit], step) => [at + step, hit || at + step === picked], [detail.cols.base, false])[1]) this.detail(600);
  }
  wind() {
    const ticks = this.model.live && this.box.isConnected;
    if (!ticks) { clearInterval(this.clock); this.clock = 0; return; }
    this.clock ||= setInterval(() => {
      if (!this.box.isConnected || !this.model.live) return this.wind();
      if (doc.hidden) return;
      if (performance.now() - this.model.heardAt > SILENT_MS) this.load();
      this.stamp += 1;
      this.paint();
      if (this.model.count < 5000) this.map?.paint();
    }, TICK_MS);
  }

  // Rows
  draw() {
    if (!this.model.count) return;
    const top = Math.floor(this.box.scrollTop / this.height), held = this.rows[top];
    this.rows = this.model.rows(this.view);
    this.stamp += 1;
    this.body.style.height = `${this.rows.length * this.height}px`;
    put(this.tree, "aria-rowcount", this.rows.length + 1);
    this.index = this.view === "self" ? Math.min(this.index, this.rows.length - 1) : this.rows.indexOf(this.selected);
    if (top > 0 && held !== undefined) {
      const now = this.rows.indexOf(held);
      if (now >= 0 && now !== top) this.box.scrollTop += (now - top) * this.height;
    }
    this.paint();
    this.map?.paint();
  }
  soon() { this.due ||= requestAnimationFrame(() => { this.due = 0; this.paint(); }); }
  get height() { return matchMedia("(max-width:767px)").matches && !this.small ? 36 : 26; }
  get span() { return this.window || [this.model.begin, this.model.until]; }
  paint() {
    const { box, rows } = this, height = this.height, seen = box.clientHeight;
    if (this.tall !== height) { this.tall = height; this.stamp += 1; this.body.style.height = `${rows.length * height}px`; }
    const first = Math.max(0, Math.floor(box.scrollTop / height) - OVER), last = Math.min(rows.length - 1, Math.ceil((box.scrollTop + seen) / height) + OVER);
    const size = Math.ceil(seen / height) + 2 * OVER + 2;
    while (this.ring.length < size) this.ring.push(this.makeRow(this.ring.length));
    for (const row of this.ring) if (row.at < first || row.at > last) { row.at = -1; row.line.hidden = true; }
    for (let at = first; at <= last; at += 1) {
      const row = this.ring[at % this.ring.length];
      if (row.at !== at || row.stamp !== this.stamp) this.fill(row, at);
    }
    const active = this.index >= first && this.index <= last ? this.ring[this.index % this.ring.length].line.id : null;
    put(this.tree, "aria-activedescendant", active);
    this.ticks();
  }
  makeRow(number) {
    const row = { at: -1, stamp: -1 };
    row.chev = icon("chevron-right", "chev");
    row.use = el("use");
    row.kind = el("span", { class: "k" }, el("svg", { class: "i s", "aria-hidden": "true" }, row.use));
    row.label = el("span", { class: "lbl cut" });
    row.marks = el("span", { class: "marks" });
    row.tokens = el("span", { role: "gridcell", class: "num tok" });
    row.time = el("span", { role: "gridcell", class: "num" });
    row.bar = el("rect", { y: 9, height: 8, rx: 2 });
    row.edge = el("rect", { class: "ex", y: 7, height: 12, rx: 3 });
    row.chart = el("svg", { class: "wf", "aria-hidden": "true" }, row.bar, row.edge);
    const cells = [el("span", { role: "gridcell", class: "nm" }, row.chev, row.kind, row.label, row.marks), row.tokens, row.time, el("span", { role: "gridcell", class: "tl" }, row.chart)];
    if (this.small) cells.splice(1, 1);
    row.line = el("div", { role: "row", id: `row-${number}` }, ...cells);
    this.body.append(row.line);
    return row;
  }
  fill(row, at) {
    const entry = this.rows[at], { line } = row;
    row.at = at;
    row.stamp = this.stamp;
    line.hidden = false;
    line.style.transform = `translateY(${at * this.height}px)`;
    line.dataset.at = at;
    put(line, "aria-rowindex", at + 2);
    put(line, "aria-selected", at === this.index);
    const shown = this.view === "self" ? this.ofGroup(this.model.groups[entry]) : entry < 0 ? this.ofGap(this.model.gaps[-entry - 1]) : this.ofSpan(entry);
    put(line, "aria-level", shown.depth + 1);
    line.style.setProperty("--d", shown.depth);
    put(line, "aria-expanded", shown.expanded ?? null);
    for (const name of ["e", "gap", "hit", "open", "lost"]) line.toggleAttribute(`data-${name}`, Boolean(shown[name]));
    put(row.chev, "visibility", shown.expanded === undefined ? "hidden" : "visible");
    row.kind.hidden = shown.kind < 0;
    if (shown.kind >= 0) { put(row.kind, "data-k", KINDS[shown.kind]); put(row.chart, "data-k", KINDS[shown.kind]); put(row.use, "href", `${icons}#${ICONS[shown.kind]}`); }
    if (row.label.textContent !== shown.label) { row.label.textContent = shown.label; row.label.title = shown.label; }
    const key = JSON.stringify(shown.marks);
    if (row.key !== key) { row.key = key; row.marks.replaceChildren(...shown.marks.map(this.mark)); }
    row.tokens.textContent = shown.tokens;
    row.time.textContent = shown.time;
    const [x, width] = shown.bar;
    for (const bar of [row.bar, row.edge]) { put(bar, "x", `${x.toFixed(2)}%`); put(bar, "width", `${width.toFixed(2)}%`); }
    put(row.edge, "visibility", shown.e ? "visible" : "hidden");
  }
  mark([tone, symbol, text, words]) {
    const mark = el("span", tone ? { class: "st sm", "data-t": tone, title: words } : { class: "tag", title: words });
    if (symbol) mark.append(icon(symbol));
    mark.append(text, el("span", { class: "sr" }, words));
    return mark;
  }
  bar(from, length) {
    const [begin, end] = this.span, whole = end - begin;
    const x = (from - begin) / whole * 100, right = x + Math.max(THIN, length / whole * 100);
    if (right < 0 || x > 100) return [0, 0];
    const left = Math.max(0, Math.min(x, 100 - THIN));
    return [left, Math.max(THIN, Math.min(right, 100) - left)];
  }
  ofSpan(place) {
    const { model } = this, folded = this.view === "tree" && model.folded.has(place), open = model.isOpen(place), marks = [];
    const tokens = model.tokens[place] >= 0 ? model.tokens[place] : model.kind[place] === 0 && model.sums[place] ? model.sums[place] : -1;
    if (model.error[place]) marks.push(["err", "circle-x", "", "error"]);
    if (model.isSkewed(place)) marks.push(["wait", "clock", "", "starts before its parent: two clocks differ"]);
    if (open && !model.live) marks.push(["off", "circle-dashed", "", "unfinished"]);
    if (folded) {
      const errors = model.errors[place] - model.error[place];
      marks.push(["", "", `+${(model.size[place] - 1).toLocaleString("en")}`, " spans hidden"]);
      if (errors) marks.push(["err", "circle-x", String(errors), ` hidden error${errors === 1 ? "" : "s"}`]);
    }
    const length = model.endOf(place) - model.start[place];
    return {
      depth: this.view === "tree" ? model.depth[place] : 0, kind: model.kind[place], label: model.name[place], marks, open,
      lost: place === 0, expanded: this.view === "tree" && model.hasChildren(place) ? !folded : undefined, e: model.error[place], hit: model.isHit(place),
      tokens: tokens >= 0 ? tokens.toLocaleString("en") : "", time: open && !model.live ? "–" : words(length), bar: this.bar(model.start[place], length),
    };
  }
  ofGap(gap) {
    const marks = gap.errors ? [["err", "circle-x", plural(gap.errors, "error"), ""]] : [];
    return { depth: gap.depth, kind: -1, label: `${gap.count.toLocaleString("en")} hidden`, marks, gap: true, tokens: "", time: "", bar: [0, 0], expanded: false };
  }
  ofGroup(group) {
    const marks = group.errors ? [["err", "circle-x", String(group.errors), group.errors === 1 ? " error" : " errors"]] : [];
    const most = this.model.groups[0].self || 1;
    return { depth: 0, kind: group.kind, label: group.name, marks, tokens: group.count.toLocaleString("en"), time: words(group.self), bar: [0, Math.max(THIN, group.self / most * 100)] };
  }
  ticks() {
    const [begin, end] = this.span, key = `${begin} ${end} ${this.view}`;
    if (this.ticked === key || this.small) return;
    this.ticked = key;
    const self = this.view === "self", from = begin - this.model.begin, to = end - this.model.begin;
    const [unit, per] = to < 1e3 ? ["µs", 1] : to < 1e6 ? ["ms", 1e3] : to < 600e6 ? ["s", 1e6] : ["min", 60e6];
    const digits = Math.max(0, Math.min(3, 2 - Math.floor(Math.log10((to - from) / per))));
    const say = (part) => { const value = (from + (to - from) * part) / per; return value === 0 ? "0" : value.toFixed(digits > 2 && value > 99 ? 1 : digits > 1 && to / per >= 9.95 && to - from === to ? 1 : digits); };
    this.axis.replaceChildren(...(self ? [] : [0, 0.25, 0.5, 0.75, 1]).map((part) => el("text", { x: `${part * 100}%`, y: 18, class: part % 1 ? "mid" : "", "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, say(part) + (part ? "" : ` ${unit}`))));
    this.heads[1].textContent = self ? "Calls" : "Tokens";
    this.heads[2].textContent = self ? "Self time" : "Time";
  }

  // Choosing a span
  select(place, { detail = true, wait = 0, quiet = false, focus = false } = {}) {
    if (this.view === "self") this.setView("tree");
    if (this.model.kept && !this.rows.includes(place)) { this.model.revealed.add(place); this.model.match(); }
    this.model.show(place);
    this.selected = place;
    this.draw();
    this.toRow(this.index);
    if (focus) this.tree.focus({ preventScroll: true });
    if (detail && place > 0) this.detail(wait);
    if (!quiet) this.tools();
  }
  toRow(at) {
    const { box } = this, height = this.height, above = this.small ? 0 : height + 2, y = at * height + (this.small ? 0 : this.head.offsetHeight);
    if (y < box.scrollTop + above) box.scrollTop = Math.max(0, y - above - (y < box.scrollTop - box.clientHeight ? box.clientHeight / 2 : 0));
    else if (y + height > box.scrollTop + box.clientHeight) box.scrollTop = y + height - box.clientHeight + (y > box.scrollTop + 2 * box.clientHeight ? box.clientHeight / 2 : 0);
    this.paint();
  }
  moveTo(at, wait = 120) {
    at = Math.max(0, Math.min(this.rows.length - 1, at));
    this.index = at;
    this.stamp += 1;
    this.selected = this.view === "self" ? -1 : this.rows[at];
    this.toRow(at);
    if (this.selected > 0) { this.detail(wait); this.tools(); }
  }
  click(event) {
    const line = event.target.closest("[data-at]");
    if (!line) return;
    const at = Number(line.dataset.at), entry = this.rows[at];
    if (this.view === "self" || entry < 0) { this.index = at; return this.open(at); }
    const beside = event.clientX < line.querySelector(".k").getBoundingClientRect().left;
    if ((beside && this.model.hasChildren(entry) && this.view === "tree") || (entry === this.selected && event.detail === 2)) return this.fold(entry);
    this.moveTo(at, 0);
    if (entry > 0) this.unfold();
  }
  // On a narrow screen the span takes the place of the spans, and Back leads to them
  unfold() {
    if (!narrow() || this.small) return;
    if (history.state?.pane !== "span") history.pushState({ ...history.state, pane: "span" }, "");
    show("span");
  }
  fold(place, to = !this.model.folded.has(place)) {
    if (!this.model.hasChildren(place)) return;
    this.model.folded[to ? "add" : "delete"](place);
    if (to) for (let up = this.selected; up > 0; up = this.model.parent[up]) if (this.model.parent[up] === place) this.selected = place;
    this.draw();
  }
  // Enter: what a row stands for
  open(at) {
    const entry = this.rows[at];
    if (this.view === "self") {
      const group = this.model.groups[entry];
      this.find(group.name);
      return this.select(group.longest, { focus: true });
    }
    if (entry < 0) { this.model.reveal(this.model.gaps[-entry - 1]); this.draw(); return this.moveTo(at); }
    if (entry === 0) return this.fold(0);
    this.unfold();
    this.detail(0, true);
  }
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { model, rows } = this, at = this.index, place = rows[at], page = Math.floor(this.box.clientHeight / this.height) - 2, tree = this.view === "tree" && place >= 0;
    const acts = {
      ArrowDown: () => this.moveTo(at + 1), ArrowUp: () => this.moveTo(at - 1), PageDown: () => this.moveTo(at + page), PageUp: () => this.moveTo(at - page),
      Home: () => this.moveTo(0), End: () => this.moveTo(rows.length - 1), Enter: () => this.open(at),
      ArrowRight: () => { if (place < 0) this.open(at); else if (tree && model.folded.has(place)) this.fold(place, false); else if (tree && model.hasChildren(place)) this.moveTo(at + 1); },
      ArrowLeft: () => { if (tree && model.hasChildren(place) && !model.folded.has(place)) this.fold(place, true); else if (tree && model.parent[place] >= 0) this.moveTo(rows.indexOf(model.parent[place])); },
      "+": () => zoom?.(this, 0.5), "-": () => zoom?.(this, 2), 0: () => zoom?.(this, 0), " ": () => place >= 0 && this.fold(place),
    };
    Object.assign(acts, { j: acts.ArrowDown, k: acts.ArrowUp });
    if (!this.typed && "jk".includes(event.key) && !("noKeys" in doc.body.dataset)) { acts[event.key](); return event.preventDefault(); }
    const types = this.typed ? event.key.length === 1 : /^[\p{L}_.]$/u.test(event.key);
    if (types) this.jump(event.key.toLowerCase()); else if (acts[event.key]) acts[event.key](); else return;
    event.preventDefault();
  }
  jump(letter) {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => { this.typed = ""; }, 700);
    this.typed += letter;
    const { rows, model } = this, from = this.index + (this.typed.length === 1 ? 1 : 0);
    const name = (entry) => (this.view === "self" ? model.groups[entry].name : entry < 0 ? "" : model.name[entry]).toLowerCase();
    for (let i = 0; i < rows.length; i += 1) {
      const at = (from + i) % rows.length;
      if (name(rows[at]).startsWith(this.typed)) return this.moveTo(at);
    }
  }

  // The pane beside
  detail(wait = 0, focus = false) {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.read(focus), wait);
  }
  async read(focus) {
    const number = this.model.number[this.selected], tab = this.pane?.querySelector("[data-number]")?.dataset.tab || "io";
    if (!number || !this.pane) return;
    this.reading?.abort();
    this.reading = new AbortController();
    try {
      const at = this.box.dataset.spans.replace(/\/0\/$/, `/${number}/`);
      const answer = await fetch(`${at}?tab=${tab}${this.small ? "&in=chat" : ""}`, { headers: { "HX-Request": "true" }, signal: this.reading.signal });
      if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
      htmx.swap(this.pane, await answer.text(), { swapStyle: "innerHTML" });
      if (focus) this.pane.querySelector(".scroll,[tabindex]")?.focus();
    } catch (error) {
      if (error.name !== "AbortError") consoleUI.toast(`The span could not be read. ${error.message}`, "error");
    }
  }

  // Views, search, filters
  setView(view) {
    this.view = view;
    this.index = -1;
    this.box.scrollTop = 0;
    for (const one of doc.querySelectorAll("[data-view]")) put(one, "aria-current", one.dataset.view === view ? "true" : null);
    this.tree.dataset.is = view;
    this.draw();
    if (this.index >= 0) this.toRow(this.index);
    this.keepAddress({ view: view === "tree" ? "" : view });
  }
  find(text) {
    const field = doc.querySelector("[data-ui=find-span]");
    if (field && field.value !== text) field.value = text;
    this.model.filter({ query: text.trim().toLowerCase(), found: new Set() });
    this.draw();
    this.tools();
    this.keepAddress({ find: text.trim() });
    clearTimeout(this.finding);
    if (text.trim().length > 1) this.finding = setTimeout(() => this.findInside(text.trim()), 300);
  }
  async findInside(text) {
    const answer = await fetch(`${this.box.dataset.find}?q=${encodeURIComponent(text)}`).catch(() => null);
    if (!answer?.ok || this.model.query !== text.toLowerCase()) return;
    this.model.filter({ found: new Set((await answer.json()).spans) });
    this.draw();
    this.tools();
  }
  step(places, by) {
    if (!places.length) return;
    const rank = (place) => (place >= 0 ? this.model.rank[place] : -1), here = rank(this.selected);
    const after = places.filter((place) => (rank(place) - here) * by > 0);
    this.select(by > 0 ? after[0] ?? places[0] : after.at(-1) ?? places.at(-1));
  }
  tools() {
    if (this.small || !this.model.count) return;
    const { model } = this, say = (name, text) => { const one = doc.querySelector(`[data-say=${name}]`); if (one && one.textContent !== text) one.textContent = text; };
    const errorAt = model.failed.indexOf(this.selected) + 1, hitAt = model.hits.indexOf(this.selected) + 1, count = (places) => places.length.toLocaleString("en");
    say("errors", model.failed.length ? (errorAt ? `error ${errorAt} of ${count(model.failed)}` : plural(model.failed.length, "error")) : "");
    say("hits", model.query ? (model.hits.length ? `${hitAt ? `${hitAt} of ` : ""}${count(model.hits)} found` : "nothing found") : "");
    for (const one of doc.querySelectorAll("[data-needs-errors]")) one.hidden = !model.failed.length;
    const used = new Set(model.kind.slice(1));
    for (const chip of doc.querySelectorAll("[data-kind]")) { const kind = KINDS.indexOf(chip.dataset.kind); chip.hidden = !used.has(kind); put(chip, "aria-pressed", model.kinds.has(kind)); }
    put(doc.querySelector("[data-act=only]"), "aria-pressed", model.only);
    const rest = doc.querySelector("[data-ui=truncated]");
    if (rest) rest.hidden = !model.last;
    say("shown", model.last ? `The first ${model.count.toLocaleString("en")} of ${model.total.toLocaleString("en")} spans are shown.` : "");
  }
  readAddress() {
    const told = new URLSearchParams(location.search), found = told.get("find") || "", kinds = (told.get("kinds") || "").split(" ").map((kind) => KINDS.indexOf(kind)).filter((kind) => kind >= 0);
    this.model.only = told.get("only") === "1";
    this.model.kinds = new Set(kinds);
    if (["time", "self"].includes(told.get("view"))) { this.view = told.get("view"); this.setView(this.view); }
    if (found) { doc.getElementById("find-bar").hidden = false; doc.querySelector("[data-ui=find-span]").value = found; this.model.query = found.toLowerCase(); this.finding = setTimeout(() => this.findInside(found), 300); }
  }
  keepAddress(change) {
    if (this.small) return;
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(change)) if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  }
}

// The page around the grid
let grid;
function open(box) { grid = window.traceGrid = new Grid(box); }
function show(name) {
  for (const pane of doc.querySelectorAll("[data-trace-pane]")) pane.toggleAttribute("data-on", pane.dataset.tracePane === name);
  if (name === "tree") grid?.draw();
}
// What the pane shows is in the address, and in a chat the step it recorded is marked
doc.addEventListener("htmx:afterSettle", told);
function told() {
  const head = grid?.pane?.querySelector("[data-number]");
  if (!head) return;
  const { spanId, tab, step } = head.dataset;
  grid.keepAddress({ span: spanId, tab: tab === "io" ? "" : tab });
  if (!grid.small) return;
  for (const one of doc.querySelectorAll("[data-of-span]")) delete one.dataset.ofSpan;
  const row = step && doc.getElementById(`step-${step}`);
  if (row) { row.dataset.ofSpan = ""; const fold = row.closest("details.fold"); if (fold) fold.open = true; row.scrollIntoView({ block: "nearest" }); }
}
// Polled, or caught up: the head was fetched anew, the spans follow
doc.addEventListener("live:painted", ({ target }) => {
  if (grid && ["trace-head", "turns"].includes(target.id) && performance.now() - grid.model.heardAt > 2000 && grid.box.isConnected) grid.load();
});
// A step of the chat that is clicked is shown in its trace
async function showStep(step) {
  const answer = await fetch(grid.box.dataset.steps.replace("STEP", step)).catch(() => null);
  if (!answer?.ok || !grid.box.isConnected) return;
  const { trace, number } = await answer.json(), { dataset } = grid.box;
  if (!trace) return;
  if (trace !== dataset.trace) {
    for (const name of ["structure", "spans", "find"]) dataset[name] = dataset[name].replace(dataset.trace, trace);
    Object.assign(dataset, { trace, live: `trace:${trace}`, liveN: "", selected: number });
    grid.box.replaceChildren();
    open(grid.box);
    return live.scan();
  }
  const place = grid.model.at.get(number);
  if (place) grid.select(place);
}
doc.addEventListener("click", (event) => {
  if (!grid?.box.isConnected || event.ctrlKey || event.metaKey) return;
  const step = grid.small && event.target.closest("#turns [data-ui=step]"), to = event.target.closest("[data-go-span]");
  const place = to && grid.model.at.get(Number(to.dataset.goSpan));
  if (step) showStep(step.id.slice(5));
  if (place) { event.preventDefault(); grid.select(place); }
  if (event.target.closest("[data-act=retry]")) grid.load();
});
// Back from a span on a narrow screen, and forward to it again; before htmx, which would fetch the page anew
addEventListener("popstate", (event) => {
  if (!grid?.box.isConnected || grid.small || !narrow() || location.pathname !== grid.path) return;
  event.stopImmediatePropagation();
  show(event.state?.pane === "span" ? "span" : "tree");
}, true);
// Keys work before anything has the focus
doc.addEventListener("keydown", (event) => {
  const free = !doc.activeElement || doc.activeElement === doc.body, moves = ["ArrowDown", "ArrowUp", "j", "k"].includes(event.key);
  if (!free || !moves || !grid?.model.count || !grid.box.isConnected || grid.small || (event.key.length === 1 && "noKeys" in doc.body.dataset)) return;
  grid.tree.focus({ preventScroll: true });
  grid.key(event);
}, true);
Object.assign(window.traceParts, { show });
function begin() {
  const box = doc.querySelector("[data-trace]");
  if (box && box !== grid?.box) open(box);
}
doc.addEventListener("htmx:load", begin);
begin();
})();
