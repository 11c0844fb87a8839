// Charts of the metrics pages. The server makes what is read; what is drawn comes as columns in #metric-data. The part
// of the page is fetched again when something happened, at most every five seconds and only while somebody looks.
(() => {
"use strict";
const doc = document, LOOK_MS = 5000, zone = doc.body.dataset.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
const part = () => doc.querySelector("[data-part]");
const charts = new Map(); // name -> { plot, host }
let data = read(doc), isPaused = false, isBusy = false, isDirty = false, restUntil = 0;

function read(from) {
  return JSON.parse(from.getElementById("metric-data")?.textContent || '{"times":[],"step":1,"panels":{}}');
}

// Words of times and values
const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
const clock = format({ hour: "2-digit", minute: "2-digit" }), seconds = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = format({ day: "numeric", month: "short" }), month = format({ month: "short", year: "numeric" });
const moment = (at) => `${day.format(at * 1000)}, ${(data.step < 60 ? seconds : clock).format(at * 1000)}`;
function timeWords(plot, splits, axis, space, step) {
  return splits.map((at) => {
    const ms = at * 1000;
    if (step >= 28 * 86400) return month.format(ms);
    if (step >= 86400 || clock.format(ms) === "00:00") return day.format(ms);
    return (step < 60 ? seconds : clock).format(ms);
  });
}
function short(value) {
  const size = Math.abs(value);
  for (const [unit, step] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) if (size >= step) return `${digits(value / step)} ${unit}`;
  return digits(value);
}
const digits = (value) => (Math.round(value * 1000) / 1000).toLocaleString("en-GB", { maximumSignificantDigits: 3 }).replace("-", "−");
function words(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "%") return `${digits(value * 100)} %`;
  if (unit !== "s") return (Number.isInteger(value) && Math.abs(value) < 1e6 ? value.toLocaleString("en-GB") : short(value)) + (unit ? ` ${unit}` : "");
  const size = Math.abs(value);
  if (!size) return "0";
  if (size < 1) return `${digits(value * 1000)} ms`;
  return size < 60 ? `${digits(value)} s` : size < 3600 ? `${digits(value / 60)} min` : `${digits(value / 3600)} h`;
}

// Colours: a probe knows what a token is in this theme; a canvas does not
function colour(name) {
  const probe = doc.createElement("span");
  probe.className = `m-probe ${name}`;
  part().append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
const alone = (values, at) => values[at] !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;
// Bars stand one upon another: the tallest is drawn first.
function columns({ shape, lines }) {
  if (shape !== "bars" || lines.length < 2) return [data.times, ...lines.map((one) => one.values)];
  const sums = lines.map((_, upTo) => data.times.map((_, at) => {
    const parts = lines.slice(0, upTo + 1).map((one) => one.values[at]);
    return parts.every((value) => value === null) ? null : parts.reduce((sum, value) => sum + (value ?? 0), 0);
  }));
  return [data.times, ...sums.reverse()];
}
function series({ shape, lines }) {
  const bars = shape === "bars", order = lines.map((one, at) => [one, at]);
  if (bars) order.reverse();
  return order.map(([one, at]) => ({
    stroke: () => colour(one.tone),
    fill: bars ? () => colour(one.tone) : undefined,
    width: bars ? 0 : 1.5,
    dash: bars ? undefined : /^t([7-9]|1\d)$/.test(one.tone) ? [2, 2] : lines.length < 4 && at % 2 ? [5, 3] : undefined,
    paths: bars ? uPlot.paths.bars({ align: 1, size: [0.76, 40] }) : undefined,
    spanGaps: false,
    // A value between two gaps would not be seen as a line.
    points: { show: !bars, size: 4, width: 0, fill: () => colour(one.tone), filter: (plot, nth) => bars ? null : [...plot.data[nth].keys()].filter((i) => alone(plot.data[nth], i)) },
  }));
}
function options(name, panel, host) {
  const axis = { stroke: () => colour("m-word"), font: `11px "Geist Sans", sans-serif`, ticks: { show: false } };
  const grid = { stroke: () => colour("m-grid"), width: 1 };
  return {
    width: host.clientWidth, height: host.clientHeight, padding: [8, 8, 0, 0], legend: { show: false },
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
    scales: {
      x: { range: () => [data.times[0], data.times[data.times.length - 1] + data.step] },
      y: { range: (plot, low, high) => uPlot.rangeNum(Math.min(0, low ?? 0), high || (panel.unit === "%" ? 0.1 : 1), 0.08, true) },
    },
    axes: [
      { ...axis, grid: { show: false }, values: timeWords, space: 72, size: 28 },
      { ...axis, grid, values: (plot, splits) => splits.map((at) => axisWords(at, panel.unit)), size: 58, space: 38, gap: 6 },
    ],
    series: [{}, ...series(panel)],
    cursor: { y: false, points: { show: panel.shape !== "bars", size: 6 }, drag: { x: true, y: false, setScale: false }, sync: { key: "metrics" } },
    hooks: { setCursor: [(plot) => tell(host, panel, plot.cursor.idx)], setSelect: [(plot) => plot.select.width > 4 && choose(plot)] },
  };
}
const axisWords = (value, unit) => (unit === "s" || unit === "%" ? words(value, unit) : short(value));
function tell(host, panel, at) {
  const box = host.closest("[data-panel]"), when = host.querySelector(".m-when") || host.appendChild(doc.createElement("span"));
  when.className = "m-when";
  when.textContent = at === null || at === undefined ? "" : moment(data.times[at]);
  for (const place of box.querySelectorAll("[data-at]")) {
    const line = panel.lines[place.dataset.at];
    place.textContent = at === null || at === undefined || !line ? "" : words(line.values[at], panel.unit);
  }
}
// A range that is dragged over one chart is the range of all, and of the address.
let isChosen = false;
function choose(plot) {
  if (isChosen) return;
  isChosen = true;
  const url = new URL(location.href), last = data.times[data.times.length - 1] + data.step;
  const [from, to] = [plot.select.left, plot.select.left + plot.select.width].map((x) => Math.min(last, plot.posToVal(x, "x")));
  const iso = (at) => new Date(Math.round(at) * 1000).toISOString().slice(0, 19);
  url.searchParams.delete("range");
  url.searchParams.set("from", iso(from));
  url.searchParams.set("to", iso(Math.max(to, from + 1)));
  location.assign(url);
}

// Drawing
function draw() {
  for (const [name, { plot, host }] of charts) if (!host.isConnected || !data.panels[name]) { plot.destroy(); charts.delete(name); }
  for (const host of doc.querySelectorAll("[data-chart]")) {
    const name = host.dataset.chart, panel = data.panels[name], known = charts.get(name), shape = panel && JSON.stringify(panel.lines.map((one) => [one.name, one.tone]));
    if (!panel) continue;
    if (known?.host === host && known.shape === shape) {
      known.panel.lines = panel.lines;
      known.plot.setData(columns(panel));
      continue;
    }
    known?.plot.destroy();
    host.textContent = "";
    charts.set(name, { host, panel, shape, plot: new uPlot(options(name, panel, host), columns(panel), host) });
    sizes.observe(host);
  }
  for (const button of doc.querySelectorAll("[data-png]")) button.hidden = false;
}
const sizes = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    const plot = charts.get(target.dataset.chart)?.plot;
    if (plot && target.clientWidth && plot.width !== target.clientWidth) plot.setSize({ width: target.clientWidth, height: target.clientHeight });
  }
});
const recolour = () => charts.forEach(({ plot }) => plot.redraw());
new MutationObserver(recolour).observe(doc.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme:dark)").addEventListener("change", recolour);

// A picture: ground, title, chart and what its lines are
function picture(name) {
  const { plot, host, panel } = charts.get(name), from = plot.ctx.canvas, scale = devicePixelRatio || 1, head = 36 * scale, foot = 28 * scale;
  const to = doc.createElement("canvas"), ink = to.getContext("2d"), style = getComputedStyle(doc.body);
  Object.assign(to, { width: from.width, height: from.height + head + foot });
  ink.fillStyle = style.backgroundColor;
  ink.fillRect(0, 0, to.width, to.height);
  ink.drawImage(from, 0, head);
  ink.textBaseline = "middle";
  ink.fillStyle = style.color;
  ink.font = `600 ${14 * scale}px "Geist Sans", sans-serif`;
  ink.fillText(host.closest("[data-panel]").querySelector("h2").textContent.trim(), 12 * scale, head / 2);
  ink.font = `${12 * scale}px "Geist Sans", sans-serif`;
  panel.lines.reduce((x, line) => {
    ink.fillStyle = colour(line.tone);
    ink.fillRect(x, to.height - foot / 2 - scale, 16 * scale, 2 * scale);
    ink.fillStyle = style.color;
    ink.fillText(line.name, x + 22 * scale, to.height - foot / 2);
    return x + 40 * scale + ink.measureText(line.name).width;
  }, 12 * scale);
  to.toBlob((blob) => {
    const link = doc.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `metrics-${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// The newest numbers
async function refresh() {
  isBusy = true;
  isDirty = false;
  const begun = performance.now();
  try {
    const answer = await fetch(part().dataset.part, { cache: "no-cache" });
    if (answer.status === 401 || answer.redirected) return location.reload();
    if (answer.ok) paint(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { isDirty = true; } finally {
    isBusy = false;
    restUntil = performance.now() + 20 * (performance.now() - begun); // an answer that costs much is asked for seldom
  }
}
function paint(fresh) {
  data = read(fresh);
  doc.getElementById("metric-data").textContent = JSON.stringify(data);
  for (const now of doc.querySelectorAll("[data-panel]")) {
    const next = fresh.getElementById(now.id);
    if (!next) continue;
    const [was, is] = [now, next].map((one) => one.querySelector("[data-chart]"));
    if (!was || !is) { live.morph(now, next.outerHTML); continue; }
    was.setAttribute("aria-label", is.getAttribute("aria-label"));
    for (const one of now.querySelectorAll("[data-fresh]")) {
      const other = fresh.getElementById(one.id);
      if (other) live.morph(one, other.outerHTML);
    }
  }
  draw();
}
function isDue() {
  const kind = part().dataset.open, dot = doc.querySelector("[data-ui=live-dot]");
  if (!kind || isPaused || isBusy || doc.hidden || performance.now() < restUntil) return false;
  const isOver = Date.now() / 1000 >= data.times[data.times.length - 1] + data.step;
  return kind === "poll" || isDirty || isOver || dot?.dataset.t !== "ok";
}
setInterval(() => isDue() && refresh(), LOOK_MS);
doc.addEventListener("visibilitychange", () => { if (!doc.hidden) isDirty = true; });
doc.addEventListener("live:frame", (event) => { event.preventDefault(); isDirty = true; });

const pause = doc.querySelector("[data-pause]");
if (pause) pause.hidden = false;
doc.addEventListener("click", (event) => {
  const png = event.target.closest("[data-png]");
  if (png) picture(png.dataset.png);
  if (!event.target.closest("[data-pause]")) return;
  isPaused = !isPaused;
  isDirty ||= !isPaused;
  pause.setAttribute("aria-pressed", isPaused);
  pause.querySelector("span").textContent = isPaused ? "Resume" : "Pause";
  const use = pause.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, isPaused ? "#play" : "#square"));
});
doc.addEventListener("change", (event) => event.target.matches("[data-send]") && event.target.form.requestSubmit());
for (const button of doc.querySelectorAll("[data-send-button]")) button.hidden = true;
doc.fonts?.ready.then(() => charts.forEach(({ plot }) => plot.redraw(false, true)));
draw();
})();
