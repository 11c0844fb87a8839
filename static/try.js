// Trying a model on its page: the same call programs make, its answer painted as it comes. Without script the form is sent.
(() => {
"use strict";
const doc = document, form = doc.querySelector("[data-try]");
if (!form) return;
const $ = (name) => doc.querySelector(`[data-try-${name}]`);
const answer = $("answer"), failure = $("error"), facts = $("facts"), stop = $("stop");
const csrf = JSON.parse(doc.body.getAttribute("hx-headers"))["x-csrftoken"];
let running;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const prompt = form.elements.prompt.value.trim();
  if (prompt && !running) ask(prompt);
});
stop.addEventListener("click", () => running?.abort());
form.elements.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

async function ask(prompt) {
  const began = performance.now(), embeds = form.dataset.try.endsWith("embeddings"), model = form.dataset.model;
  running = new AbortController();
  show(answer, "");
  failure.hidden = true;
  stop.hidden = false;
  facts.textContent = "Waiting for the first word";
  try {
    const body = embeds ? { model, input: [prompt] } : { model, stream: true, max_tokens: Number(form.dataset.tokens), messages: [{ role: "user", content: prompt }], stream_options: { include_usage: true } };
    const response = await fetch(form.dataset.try, { method: "POST", signal: running.signal, headers: { "Content-Type": "application/json", "X-CSRFToken": csrf }, body: JSON.stringify(body) });
    if (!response.ok) throw new Error((await response.json()).detail);
    if (embeds) vector((await response.json()).data[0].embedding, began); else await stream(response.body, began);
  } catch (error) {
    if (error.name === "AbortError") facts.textContent = `Stopped after ${span(performance.now() - began)}`;
    else { failure.querySelector("section").textContent = error.message; failure.hidden = false; facts.textContent = ""; }
  }
  if (waiting) await new Promise(requestAnimationFrame);
  answer.classList.remove("live");
  answer.hidden = !answer.textContent;
  stop.hidden = true;
  running = null;
}
async function stream(source, began) {
  const reader = source.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", first, tokens;
  answer.classList.add("live");
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue;
      const frame = JSON.parse(line.slice(6)), text = frame.choices?.[0]?.delta?.content;
      if (frame.error) throw new Error(frame.error.message);
      tokens = frame.usage?.completion_tokens ?? tokens;
      if (text) { first ??= performance.now(); paint(text); }
    }
  }
  const spent = performance.now() - began, writing = performance.now() - first;
  const speed = tokens > 1 && writing > 0 ? ` · ${tokens} tokens · ${((tokens - 1) / writing * 1000).toFixed(1)} tokens/s` : "";
  facts.textContent = first ? `first word ${span(first - began)} · ${span(spent)}${speed}` : span(spent);
}
let waiting = "";
function paint(text) {
  if (!waiting) requestAnimationFrame(() => { answer.append(waiting); waiting = ""; });
  waiting += text;
}
function vector(numbers, began) {
  const length = Math.hypot(...numbers);
  show(answer, `${numbers.length} numbers of length ${length.toFixed(3)}, beginning ${numbers.slice(0, 8).map((number) => number.toFixed(4)).join(" ")}`);
  facts.textContent = span(performance.now() - began);
}
function show(element, text) {
  element.textContent = text;
  element.hidden = false;
}
const span = (ms) => ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
})();
