// The live layer: one socket a tab. Elements name their topics in data-live and, in data-live-n, the number of the last
// event their HTML already shows. What the frames mean is told in docs/live.md; page scripts hear `live:frame` on the
// element and may prevent the default painting. Every frame can be painted twice without harm, so catching up is safe.
(() => {
"use strict";
const doc = document, POLL_MS = 5000;
const parts = new Map(); // element -> { key, base: { topic: number } }
const heard = {}; // topic -> number of the newest event heard
let socket, queue = [], scheduled, unread = 0, ackTimer, failures = 0, polling, goodAt = new Date(), signedOut;

// What the page watches
function read(element) {
  const { live, liveN = "" } = element.dataset, key = `${live} ${liveN}`, known = parts.get(element);
  if (known?.key === key) return [];
  const numbers = liveN.split(" "), base = {};
  live.split(/\s+/).filter(Boolean).forEach((topic, at) => { base[topic] = Number(numbers[at]) || 0; });
  parts.set(element, { key, base });
  return Object.keys(base);
}
function scan() {
  const before = topics(), fresh = new Set();
  for (const element of parts.keys()) if (!element.isConnected) parts.delete(element);
  for (const element of doc.querySelectorAll("[data-live]")) read(element).forEach((topic) => fresh.add(topic));
  const now = topics(), left = [...before].filter((topic) => !now.has(topic));
  left.forEach((topic) => delete heard[topic]);
  if (left.length) send({ unsub: left });
  if (fresh.size) send({ sub: Object.fromEntries([...fresh].map((topic) => [topic, lowest(topic)])) });
}
const topics = () => new Set([...parts.values()].flatMap((part) => Object.keys(part.base)));
const watchers = (topic) => [...parts].filter(([, part]) => topic in part.base);
function lowest(topic) {
  const numbers = watchers(topic).map(([, part]) => part.base[topic]).filter(Boolean);
  return numbers.length ? Math.min(...numbers) : 0;
}
// The newest event is asked for again: some of its frames may have been on their way when the line broke.
const position = (topic) => Math.max(lowest(topic), (heard[topic] || 1) - 1);
const everything = () => Object.fromEntries([...topics()].map((topic) => [topic, position(topic)]));

// The socket
function send(message) {
  if (socket?.readyState === 1) socket.send(JSON.stringify(message));
}
function connect() {
  if (signedOut || socket?.readyState < 2) return;
  let line;
  try { line = new WebSocket(location.origin.replace("http", "ws") + "/ws/live/"); } catch { return lost(); }
  socket = line;
  line.onopen = () => line === socket && send({ hidden: doc.hidden, sub: everything() });
  line.onmessage = (message) => line === socket && take(JSON.parse(message.data));
  line.onclose = (event) => line === socket && lost(event.code);
}
function take(frame) {
  if (failures || polling || !tell.state) works();
  goodAt = new Date();
  acknowledge();
  if (frame.n && !doc.hidden) heard[frame.t] = Math.max(heard[frame.t] || 0, frame.n + (frame.k === "watching"));
  queue.push(frame);
  if (!scheduled) {
    scheduled = true;
    if (doc.hidden) setTimeout(flush); else requestAnimationFrame(flush);
  }
}
function acknowledge() {
  const now = () => { send({ ack: unread }); unread = 0; clearTimeout(ackTimer); ackTimer = 0; };
  unread += 1;
  if (unread >= 100) now(); else ackTimer ||= setTimeout(now, 1000);
}
function works() {
  failures = 0;
  clearInterval(polling);
  polling = 0;
  tell("ok", "circle-dot", "Live");
}
function lost(code) {
  socket = null;
  if (code === 4401) { signedOut = true; return tell("wait", "wifi-off", "Signed out"); }
  failures += 1;
  if (failures < 3) told(); else if (!polling) { polling = setInterval(poll, POLL_MS); poll(); }
  if (!polling) setTimeout(connect, Math.min(15e3, 300 * 2 ** failures) * (0.7 + 0.6 * Math.random()));
}
const told = () => tell("wait", "wifi-off", `Reconnecting, data from ${consoleUI.clock(goodAt)}`);
function tell(tone, icon, words) {
  const dot = doc.querySelector("[data-ui=live-dot]");
  tell.state = tone;
  if (!dot) return;
  const use = dot.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#" + icon));
  dot.dataset.t = tone;
  dot.title = words;
  dot.querySelector("[data-live-words]").textContent = words;
  dot.hidden = false;
}

// Frames, painted together once per animation frame
function flush() {
  const frames = queue;
  queue = [];
  scheduled = false;
  frames.forEach(paint);
}
function paint(frame) {
  const { t, n, k } = frame, all = watchers(t);
  if (k === "watching") for (const [, part] of all) part.base[t] ||= n;
  const behind = all.filter(([, part]) => k === "resync" || !(n <= part.base[t])).map(([element]) => element);
  const open = behind.filter((element) => isBeside(element) || element.dispatchEvent(new CustomEvent("live:frame", { detail: frame, bubbles: true, cancelable: true })));
  if (open.length) painters[k]?.(open, frame, all);
}
// An element marked data-beside only lends its topic's frames a place; the others show the topic itself.
const isBeside = (element) => "beside" in element.dataset;
const again = (elements) => elements.filter((element) => !isBeside(element)).forEach(refetch);
const length = (text) => { let count = 0; for (const _ of text) count += 1; return count; };
const painters = {
  delta(elements, { s, o, d }) {
    const text = textOf(elements, s), have = text && Number(text.dataset.len ??= length(text.textContent));
    if (!text || o > have) return again(elements);
    const fresh = o === have ? d : [...d].slice(have - o).join("");
    if (!fresh) return;
    const tail = text.querySelector("[data-live-tail]") || text;
    if (tail.lastChild?.nodeType === 3) tail.lastChild.appendData(fresh); else tail.append(fresh);
    text.dataset.len = have + length(fresh);
  },
  block(elements, { s, o, h, d }) {
    const text = textOf(elements, s), tail = text?.querySelector("[data-live-tail]");
    if (!tail) return again(elements);
    if (o <= Number(text.dataset.done || 0)) return;
    tail.insertAdjacentHTML("beforebegin", h);
    tail.textContent = d;
    text.dataset.done = o;
    text.dataset.len = o + length(d);
    painted(text);
  },
  html(elements, { target, swap = "outer", h }, all) {
    const twin = swap === "append" && doc.getElementById(/\sid=["']?([^"'\s>]+)/.exec(h)?.[1]);
    const place = twin || doc.querySelector(target);
    if (!place) return again(elements);
    const home = all.find(([element]) => element.contains(place));
    if (home && !elements.includes(home[0])) return; // it is newer than the frame, or its page script has painted
    if (swap === "delete") place.remove();
    else if (swap === "append" && !twin) htmx.swap(place, h, { swapStyle: "beforeend" });
    else morph(place, h);
    scan();
  },
  state(elements, frame) {
    const value = frame.v ?? frame;
    for (const element of elements) {
      if ("liveCount" in element.dataset && value.count !== undefined) {
        element.querySelector("[data-count]").textContent = value.count;
        element.hidden = !value.count;
      }
      if (element.dataset.liveOn === "state") refetch(element);
    }
  },
  resync: (elements) => elements.forEach(refetch),
  gone(elements, { t }, all) {
    for (const [element, part] of all) { delete part.base[t]; element.dataset.liveGone = ""; }
  },
};
function textOf(elements, step) {
  const selector = `[data-live-text="${CSS.escape(step)}"]`;
  return elements.map((element) => element.querySelector(selector)).find(Boolean);
}
const painted = (element) => element.dispatchEvent(new CustomEvent("live:painted", { bubbles: true }));
function morph(element, html) {
  // What the reader opened stays open, what they typed stays typed, what is being sent stays until it is answered.
  const callbacks = {
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.matches("details,dialog")),
    beforeNodeMorphed: (node) => !node.matches?.("[data-sending]") && !(node.matches?.("input,textarea") && node.value !== node.defaultValue),
  };
  const [now] = Idiomorph.morph(element, html, { morphStyle: "outerHTML", ignoreActiveValue: true, callbacks });
  const place = now?.isConnected ? now : element;
  if (place.nodeType === 1) { htmx.process(place); painted(place); }
}

// The whole picture again, over HTTP: at once, then at most once a second; a hidden page hears all of it again when shown
const due = new Set();
let fetchAt = 0;
function refetch(element) {
  if (!due.size) setTimeout(fetchDue, Math.max(0, fetchAt - Date.now()));
  due.add(element);
}
function fetchDue() {
  const elements = doc.hidden ? [] : [...due].filter((element) => parts.has(element));
  due.clear();
  fetchAt = Date.now() + 1000;
  fetchParts(elements);
}
async function fetchParts(elements) {
  const urls = new Map();
  for (const element of elements) {
    const url = element.dataset.liveRefetch || "";
    if (url || element.id) urls.set(url, [...(urls.get(url) || []), element]);
  }
  const answers = await Promise.all([...urls].map(([url, group]) => fetchOne(url, group)));
  scan();
  return answers.every(Boolean);
}
async function fetchOne(url, elements) {
  const shown = new Map(elements.map((element) => [element, element.dataset.liveN]));
  try {
    const answer = await fetch(url || location.href, { headers: url ? { "HX-Request": "true" } : {} });
    const isPage = new URL(url, location).pathname === location.pathname;
    if (answer.status === 401 || (isPage && consoleUI.isGone(answer))) location.reload();
    if (!answer.ok) return answer.status < 500;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const element of elements) {
      const fresh = element.id ? page.getElementById(element.id) : page.body.firstElementChild;
      if (!fresh || !element.isConnected) continue;
      // What was painted meanwhile may be newer than this answer.
      if (element.dataset.liveN === shown.get(element)) morph(element, fresh.outerHTML); else refetch(element);
    }
    return true;
  } catch {
    return false;
  }
}
async function poll() {
  if (doc.hidden) return;
  const fine = await fetchParts([...parts.keys()]);
  if (!polling) return;
  if (fine) { goodAt = new Date(); tell("wait", "refresh-cw", "Polling every 5 s"); } else told();
  connect();
}

doc.addEventListener("visibilitychange", () => {
  if (doc.hidden) return send({ hidden: true });
  send({ hidden: false, sub: everything() });
  if (polling) poll();
});
addEventListener("online", connect);
addEventListener("pageshow", (event) => event.persisted && connect());
for (const name of ["htmx:load", "htmx:afterSettle"]) doc.addEventListener(name, scan);
scan();
if (parts.size) connect();
window.live = { scan, refetch, morph };
})();
