// A trace in the browser: columns as /traces/<id>/spans.json and the live frames bring them, made into a tree, into the
// rows a view shows, and into what a search finds. Spans are called by their place in the columns, which
// never changes; place 0 is the row under which spans stand whose parent is not here.
(() => {
"use strict";
const SKEW_US = 1000; // a child this much before its parent was timed by another clock
const KINDS = ["turn", "inf", "tool", "shield", "rag", "eval", "io"];

class TraceModel {
  number = [0]; parentNumber = [0]; start = [0]; dur = [0]; kind = [5]; error = [0]; tokens = [-1]; name = ["Missing parent"];
  at = new Map(); // arrival number -> place
  lost = new Map(); // span id that is not here -> arrival numbers of its children
  folded = new Set();
  kinds = new Set(); query = ""; only = false; found = new Set(); revealed = new Set();
  total = 0; last = null; live = false; now = 0; heardAt = 0;

  // Columns come in: new spans are added, known ones changed in place. Answers whether there are new ones.
  take(cols) {
    const before = this.number.length, shift = cols.t0 - (this.t0 ??= cols.t0), of = cols.kinds.map((kind) => KINDS.indexOf(kind));
    let number = cols.base;
    for (let i = 0; i < cols.id.length; i += 1) {
      number += cols.id[i];
      let place = this.at.get(number);
      if (place === undefined) this.at.set(number, place = this.number.length);
      const parent = cols.parent[i];
      this.number[place] = number;
      this.parentNumber[place] = parent > 0 ? parent + cols.base : parent;
      this.start[place] = cols.start[i] + shift;
      this.dur[place] = cols.dur[i];
      this.kind[place] = of[cols.kind[i]];
      this.error[place] = cols.error[i];
      this.tokens[place] = cols.tokens[i];
      this.name[place] = cols.names[cols.name[i]];
    }
    for (const [id, numbers] of cols.lost) this.lost.set(id, [...(this.lost.get(id) || []), ...numbers.map((one) => one + cols.base)]);
    this.adopt(cols);
    for (const key of ["total", "live", "status", "last"]) this[key] = cols[key];
    this.now = cols.now - this.t0;
    this.heardAt = performance.now();
    this.build();
    return this.number.length > before;
  }
  // A parent that comes late finds its children
  adopt(cols) {
    let number = cols.base;
    cols.sid?.forEach((id, i) => {
      number += cols.id[i];
      for (const child of this.lost.get(id) || []) {
        const place = this.at.get(child);
        if (this.parentNumber[place] === -1) this.parentNumber[place] = number;
      }
      this.lost.delete(id);
    });
  }
  get count() { return this.number.length - 1; }
  get clock() { return this.live ? this.now + (performance.now() - this.heardAt) * 1000 : this.end; }
  endOf(place) { return this.dur[place] === null ? Math.max(this.clock, this.start[place]) : this.start[place] + this.dur[place]; }
  isOpen(place) { return this.dur[place] === null; }
  isSkewed(place) { const parent = this.parent[place]; return parent > 0 && this.start[place] <= this.start[parent] - SKEW_US; }

  // The tree: parents as places, preorder, depth, size and errors of each subtree
  build(again = true) {
    const n = this.number.length, { start, number } = this;
    this.parent = new Int32Array(n);
    this.byTime = Int32Array.from({ length: n - 1 }, (_, i) => i + 1).sort((a, b) => start[a] - start[b] || number[a] - number[b]);
    const first = new Int32Array(n).fill(-1), next = new Int32Array(n).fill(-1), tops = [];
    for (let i = n - 2; i >= 0; i -= 1) {
      const place = this.byTime[i], told = this.parentNumber[place], parent = told === 0 ? -1 : this.at.get(told) ?? 0;
      this.parent[place] = parent;
      if (parent < 0) tops.push(place); else { next[place] = first[parent]; first[parent] = place; }
    }
    this.parent[0] = -1;
    if (first[0] < 0) tops.reverse(); else { tops.reverse(); tops.push(0); }
    Object.assign(this, { first, next });
    this.order = new Int32Array(n);
    this.rank = new Int32Array(n).fill(-1);
    this.depth = new Int32Array(n);
    let count = 0;
    for (const top of tops) count = this.walk(top, count);
    if (again && count < n - (first[0] < 0)) { this.cutLoops(); this.build(false); return; }
    this.order = this.order.subarray(0, count);
    this.sum();
    this.measure();
    this.match();
  }
  walk(top, count) {
    const { first, next, parent } = this;
    for (let place = top; ;) {
      this.rank[place] = count;
      this.order[count++] = place;
      if (first[place] >= 0) { this.depth[first[place]] = this.depth[place] + 1; place = first[place]; continue; }
      while (place !== top && next[place] < 0) place = parent[place];
      if (place === top) return count;
      this.depth[next[place]] = this.depth[place];
      place = next[place];
    }
  }
  cutLoops() {
    const mark = new Int32Array(this.number.length);
    for (let from = 1; from < mark.length; from += 1) {
      let place = from;
      while (place > 0 && this.rank[place] < 0 && !mark[place]) { mark[place] = from; place = this.parent[place]; }
      if (place > 0 && this.rank[place] < 0 && mark[place] === from) { this.parentNumber[place] = -1; }
    }
  }
  sum() {
    const n = this.number.length, { order, parent } = this;
    this.size = new Int32Array(n).fill(1);
    this.errors = Int32Array.from(this.error);
    this.sums = Float64Array.from(this.tokens, (one) => Math.max(0, one));
    for (let i = order.length - 1; i >= 0; i -= 1) {
      const place = order[i], up = parent[place];
      if (up < 0) continue;
      this.size[up] += this.size[place];
      this.errors[up] += this.errors[place];
      this.sums[up] += this.sums[place];
    }
  }
  measure() {
    let begin = Infinity, end = 0;
    for (const place of this.byTime) {
      begin = Math.min(begin, this.start[place]);
      end = Math.max(end, this.start[place] + (this.dur[place] || 0));
    }
    this.begin = Math.min(begin, end);
    this.end = end;
    if (this.first[0] < 0) return;
    let last = 0;
    for (let child = this.first[0]; child >= 0; child = this.next[child]) last = Math.max(last, this.endOf(child));
    this.start[0] = this.start[this.first[0]];
    this.dur[0] = last - this.start[0];
  }
  get until() { return Math.max(this.live ? this.clock : this.end, this.begin + 1); }

  // What a search and the filters leave
  isHit(place) {
    return place > 0 && this.query !== "" && (this.name[place].toLowerCase().includes(this.query) || this.found.has(this.number[place]));
  }
  passes(place) {
    return (!this.kinds.size || this.kinds.has(this.kind[place])) && (!this.only || !this.query || this.isHit(place));
  }
  match() {
    this.hits = this.query ? Array.from(this.byTime).filter((place) => this.isHit(place)).sort((a, b) => this.rank[a] - this.rank[b]) : [];
    this.failed = Array.from(this.byTime).filter((place) => this.error[place]).sort((a, b) => this.rank[a] - this.rank[b]);
    this.kept = null;
    if (!this.kinds.size && !(this.only && this.query)) return;
    this.kept = new Uint8Array(this.number.length);
    for (const place of this.order) {
      if (place > 0 && (this.revealed.has(place) || this.passes(place))) for (let up = place; up >= 0 && !this.kept[up]; up = this.parent[up]) this.kept[up] = 1;
    }
  }
  filter(change) {
    Object.assign(this, change);
    this.revealed.clear();
    this.match();
    if (this.kept) this.folded.clear();
  }

  // Rows of a view: places, or for what is left out -1, -2 … into `gaps`
  rows(view) {
    this.gaps = [];
    if (view === "self") { this.group(); return this.groups.map((_, i) => i); }
    return view === "time" ? this.timeRows() : this.treeRows();
  }
  leaveOut(rows, gap, from, to, depth) {
    if (!gap || gap.to !== from || gap.depth !== depth) {
      gap = { depth, count: 0, errors: 0, places: [], to: from };
      rows.push(-this.gaps.push(gap));
    }
    gap.to = to;
    return gap;
  }
  treeRows() {
    const rows = [], { order, size, kept, folded } = this;
    let gap;
    for (let i = 0; i < order.length;) {
      const place = order[i];
      if (kept && !kept[place]) {
        gap = this.leaveOut(rows, gap, i, i + size[place], this.depth[place]);
        gap.count += size[place];
        gap.errors += this.errors[place];
        for (const end = i + size[place]; i < end; i += 1) gap.places.push(order[i]);
        continue;
      }
      rows.push(place);
      i += folded.has(place) ? size[place] : 1;
    }
    return rows;
  }
  timeRows() {
    const rows = [];
    let gap;
    this.byTime.forEach((place, i) => {
      if (!this.kept || this.passes(place) || this.revealed.has(place)) return rows.push(place);
      gap = this.leaveOut(rows, gap, i, i + 1, 0);
      gap.count += 1;
      gap.errors += this.error[place];
      gap.places.push(place);
    });
    return rows;
  }
  reveal(gap) { gap.places.forEach((place) => this.revealed.add(place)); this.match(); }

  // Self time: what a span took while none of its children ran, added up by kind and name
  selfOf(place) {
    let covered = 0, reached = this.start[place];
    const end = this.endOf(place);
    for (let child = this.first[place]; child >= 0; child = this.next[child]) {
      const from = Math.max(this.start[child], reached), to = Math.min(this.endOf(child), end);
      if (to > from) { covered += to - from; reached = to; }
    }
    return Math.max(0, end - this.start[place] - covered);
  }
  group() {
    const groups = new Map();
    for (const place of this.byTime) {
      if (!this.passes(place)) continue;
      const key = `${this.kind[place]} ${this.name[place]}`;
      let group = groups.get(key);
      if (!group) groups.set(key, group = { name: this.name[place], kind: this.kind[place], count: 0, self: 0, errors: 0, longest: place, most: -1 });
      const self = this.selfOf(place);
      group.count += 1;
      group.self += self;
      group.errors += this.error[place];
      if (self > group.most) { group.most = self; group.longest = place; }
    }
    this.groups = [...groups.values()].sort((a, b) => b.self - a.self);
  }

  // Folding
  hasChildren(place) { return place >= 0 && this.first[place] >= 0; }
  foldTo(depth) {
    this.folded.clear();
    if (depth) for (const place of this.order) if (this.depth[place] >= depth - 1 && this.hasChildren(place)) this.folded.add(place);
  }
  show(place) { for (let up = this.parent[place]; up >= 0; up = this.parent[up]) this.folded.delete(up); }
}

// Microseconds in words, as the server writes them
function words(us) {
  if (us === null || us === undefined || Number.isNaN(us)) return "–";
  if (us < 999.5) return `${Math.round(us)} µs`;
  if (us < 999500) return us >= 9950 ? `${Math.round(us / 1e3)} ms` : `${(us / 1e3).toFixed(1)} ms`;
  if (us < 59.95e6) return `${(us / 1e6).toFixed(us < 9.995e6 ? 2 : 1)} s`;
  const seconds = Math.round(us / 1e6), minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

// Elements
const SVG = "http://www.w3.org/2000/svg", DRAWN = ["svg", "use", "rect", "text", "path", "line"];
function el(name, attributes = {}, ...children) {
  const one = DRAWN.includes(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  one.append(...children);
  return one;
}
function put(element, name, value) {
  if (value === null) element.removeAttribute(name); else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

window.traceParts = { TraceModel, words, plural, el, put, KINDS };
})();
