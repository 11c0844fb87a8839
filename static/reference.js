// The API reference: filters as one types, and sends calls in the name of the person signed in.
(() => {
"use strict";
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const find = document.querySelector("[data-filter]"), none = document.querySelector("[data-ui=no-match]");

find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/\s+/);
  for (const op of all("[data-op]")) op.hidden = !words.every((word) => op.dataset.words.includes(word));
  for (const group of all("[data-group]")) group.hidden = !group.querySelector("[data-op]:not([hidden])");
  none.hidden = all("[data-group]").some((group) => !group.hidden);
  history.replaceState(history.state, "", find.value ? "?q=" + encodeURIComponent(find.value) : location.pathname);
});
find.form.addEventListener("submit", (event) => event.preventDefault());

// Browsers open what a link leads to, but do not always go there once it is open
function go() {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1))), op = place?.closest("details");
  if (!op) return;
  op.open = true;
  op.hidden = op.closest("section").hidden = false;
  setTimeout(() => place.scrollIntoView(), 50);
}
addEventListener("hashchange", go);
addEventListener("load", go);

function addressOf(form) {
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const field of all("[data-in]", form)) {
    const value = field.value.trim();
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(value));
    else if (field.dataset.in === "query" && value)
      for (const one of "list" in field.dataset ? value.split(",") : [value]) query.append(field.name, one.trim());
  }
  return path + (query.size ? "?" + query : "");
}

async function send(form) {
  const { method } = form.dataset, address = addressOf(form), stop = form.querySelector("[data-stop]");
  const told = form.querySelector("output"), answer = form.querySelector("[data-answer]"), began = performance.now();
  if (method === "DELETE" && !confirm(`Delete ${address}? This cannot be undone.`)) return;
  const control = new AbortController();
  const tell = (word) => { told.textContent = `${word} · ${Math.round(performance.now() - began)} ms`; };
  stop.onclick = () => control.abort();
  answer.textContent = "";
  told.textContent = "Sending";
  answer.hidden = stop.hidden = false;
  try {
    const headers = { "X-CSRFToken": window.consoleUI.csrf(), "Content-Type": "application/json" };
    const body = form.querySelector("[data-in=body]")?.value;
    const response = await fetch(address, { method, headers, body, signal: control.signal });
    const word = `${response.status} ${response.statusText}`;
    tell(word);
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await text.read()).done; ) answer.append(part.value);
    tell(word);
    if (response.headers.get("content-type")?.includes("json")) answer.textContent = JSON.stringify(JSON.parse(answer.textContent), null, 2);
  } catch (error) {
    tell(error.name === "AbortError" ? "Stopped" : "No answer: " + error.message);
  }
  answer.hidden = !answer.textContent;
  stop.hidden = true;
}

for (const form of all("[data-try]")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
}
})();
