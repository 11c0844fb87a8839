// Around the grid of a trace page: the map of all spans, zoom, search, filters, folding to a depth, views. The grid itself
// is trace.js, which runs after this and is `traceGrid` by the time anybody clicks.
(() => {
"use strict";
const { words, KINDS } = window.traceParts;
const doc = document, WIDTH = 1000, LANES = 26;
const grid = () => window.traceGrid;
const { el, put, plural } = window.traceParts;

// The map: all spans in lanes by their order, errors on top; a drag chooses the time the grid shows
class Overview {
  constructor(grid, svg) {
    this.grid = grid;
    this.svg = svg;
    this.paths = new Map([...KINDS.map((kind) => [kind, el("path", { "data-k": kind })]), ["er", el("path", { class: "er" })]]);
    this.shade = el("rect", { class: "br", y: 0, height: 40 });
    this.edges = [0, 1].map(() => el("line", { class: "bl", y1: 0, y2: 40 }));
    svg.append(...this.paths.values(), this.shade, ...this.edges);
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.drag(event));
    svg.addEventListener("pointerup", (event) => this.drop(event));
    svg.addEventListener("pointercancel", () => { this.from = undefined; this.paint(); });
  }
  paint() {
    const { model } = this.grid, { begin, until } = model, scale = WIDTH / (until - begin), lanes = Math.min(LANES, model.order.length) || 1;
    const cells = new Map([...this.paths.keys()].map((name) => [name, new Uint8Array(WIDTH * lanes)]));
    model.order.forEach((place, rank) => {
      if (place === 0) return;
      const from = Math.max(0, Math.min(WIDTH - 4, Math.round((model.start[place] - begin) * scale))), to = Math.min(WIDTH, Math.max(from + 4, Math.round((model.endOf(place) - begin) * scale)));
      const row = Math.floor(rank * lanes / model.order.length) * WIDTH;
      cells.get(model.error[place] ? "er" : KINDS[model.kind[place]]).fill(1, row + from, row + to);
    });
    const gap = 36 / Math.max(lanes, 8), thick = Math.max(1.3, Math.min(2, gap));
    for (const [name, marks] of cells) this.paths.get(name).setAttribute("d", this.runs(marks, lanes, gap, thick));
    const [from, to] = this.grid.span, left = Math.max(0, (from - begin) * scale), right = Math.min(WIDTH, (to - begin) * scale);
    this.window(left, right);
    put(this.svg, "aria-label", `Overview of ${plural(model.count, "span")} over ${words(until - begin)}`);
  }
  runs(marks, lanes, gap, thick) {
    let path = "";
    for (let lane = 0; lane < lanes; lane += 1) {
      const row = marks.subarray(lane * WIDTH, (lane + 1) * WIDTH), y = (2 + lane * gap).toFixed(1);
      for (let x = row.indexOf(1); x >= 0;) {
        let end = row.indexOf(0, x);
        if (end < 0) end = WIDTH;
        path += `M${x} ${y}h${end - x}v${thick.toFixed(1)}h${x - end}z`;
        x = row.indexOf(1, end);
      }
    }
    return path;
  }
  window(left, right) {
    put(this.shade, "x", left);
    put(this.shade, "width", Math.max(1, right - left));
    [left, right].forEach((x, i) => { put(this.edges[i], "x1", x); put(this.edges[i], "x2", x); });
  }
  at(event) {
    const { left, width } = this.svg.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - left) / width)) * WIDTH;
  }
  press(event) { if (event.button === 0) { this.from = this.at(event); this.svg.setPointerCapture(event.pointerId); } }
  drag(event) { if (this.from !== undefined) this.window(...[this.from, this.at(event)].sort((a, b) => a - b)); }
  drop(event) {
    if (this.from === undefined) return;
    const { model } = this.grid, [left, right] = [this.from, this.at(event)].sort((a, b) => a - b), scale = (model.until - model.begin) / WIDTH;
    this.from = undefined;
    setWindow(this.grid, right - left < 6 ? null : [model.begin + left * scale, model.begin + right * scale]);
  }
}
function setWindow(grid, window) {
  grid.window = window;
  const whole = doc.querySelector("[data-act=zoom-all]");
  if (whole) whole.hidden = !window;
  grid.draw();
}
// 0.5 is closer, 2 is farther, 0 is all; the chosen span stays in the middle
function zoom(grid, by, shift = 0) {
  const { model } = grid, [from, to] = grid.span, { begin, until } = model, place = grid.selected;
  if (!by) return setWindow(grid, null);
  let middle = (from + to) / 2 + shift * (to - from);
  if (!shift && place > 0) { const mine = (model.start[place] + model.endOf(place)) / 2; if (mine >= from && mine <= to) middle = mine; }
  const width = Math.max(10, Math.min((to - from) * by, until - begin)), left = Math.max(begin, Math.min(middle - width / 2, until - width));
  setWindow(grid, width >= until - begin ? null : [left, left + width]);
}

// What buttons do, by their data-act
function openFind(focus = true) {
  const bar = doc.getElementById("find-bar"), field = bar?.querySelector("input");
  if (!bar) return;
  bar.hidden = false;
  if (focus) field.focus();
}
const acts = {
  search: () => openFind(),
  only: () => { openFind(!grid().model.query); grid().model.filter({ only: !grid().model.only }); grid().draw(); grid().tools(); grid().keepAddress({ only: grid().model.only ? "1" : "" }); },
  "close-find": () => { doc.getElementById("find-bar").hidden = true; grid().model.only = false; grid().find(""); grid().keepAddress({ only: "" }); grid().tree.focus(); },
  "next-hit": () => grid().step(grid().model.hits, 1), "previous-hit": () => grid().step(grid().model.hits, -1),
  "next-error": () => grid().step(grid().model.failed, 1), "previous-error": () => grid().step(grid().model.failed, -1),
  "zoom-in": () => zoom(grid(), 0.5), "zoom-out": () => zoom(grid(), 2), "zoom-all": () => zoom(grid(), 0), earlier: () => zoom(grid(), 1, -0.5), later: () => zoom(grid(), 1, 0.5),
  "zoom-span": () => { const { model, selected } = grid(); if (selected >= 0) { const end = model.endOf(selected), edge = Math.max(5, (end - model.start[selected]) * 0.05); setWindow(grid(), [model.start[selected] - edge, end + edge]); } },
  depth: (button) => foldTo(Number(button.dataset.depth)),
  "show-tree": () => { if (history.state?.pane === "span") history.back(); else window.traceParts.show("tree"); grid().tree.focus(); },
  rest: () => grid().load(grid().model.last),
};
function foldTo(depth) {
  if (grid().view !== "tree") grid().setView("tree");
  grid().model.foldTo(depth);
  for (let up = grid().selected; up >= 0; up = grid().model.parent[up]) if (grid().model.folded.has(up)) grid().selected = up;
  grid().draw();
  if (grid().index >= 0) grid().toRow(grid().index);
}
doc.addEventListener("click", (event) => {
  if (!grid()?.box.isConnected || event.ctrlKey || event.metaKey) return;
  const button = event.target.closest("[data-act],[data-view],[data-kind]");
  if (!button) return;
  const { act, view, kind } = button.dataset;
  if (act && !acts[act]) return;
  event.preventDefault();
  if (act) acts[act](button);
  if (view) grid().setView(view);
  if (kind) {
    const kinds = new Set(grid().model.kinds), number = KINDS.indexOf(kind);
    if (!kinds.delete(number)) kinds.add(number);
    grid().model.filter({ kinds });
    grid().draw();
    grid().tools();
    grid().keepAddress({ kinds: [...kinds].map((one) => KINDS[one]).join(" ") });
  }
});
doc.addEventListener("input", (event) => { if (event.target.dataset.ui === "find-span") grid()?.find(event.target.value); });
doc.addEventListener("keydown", (event) => {
  if (event.target.dataset?.ui !== "find-span" || !grid()) return;
  if (event.key === "Enter") { event.preventDefault(); grid().step(grid().model.hits, event.shiftKey ? -1 : 1); }
  if (event.key === "Escape") { event.preventDefault(); acts["close-find"](); }
});
doc.addEventListener("keydown", (event) => { // before the console's own: the field is folded away
  if (event.key === "/" && grid() && !grid().small && !event.target.closest("input,textarea,select,dialog")) { event.preventDefault(); openFind(); }
}, true);

Object.assign(window.traceParts, { Overview, zoom });
})();
