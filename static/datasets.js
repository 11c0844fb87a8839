// Datasets: how many rows came meanwhile, choosing rows, and files sent in parts. Pages work without it.
(() => {
"use strict";
const doc = document, PART = 4 << 20, TRIES = 5;

// New rows are not pushed under the reader's eyes: the count moves, and a mark leads to them
doc.addEventListener("live:frame", ({ target, detail }) => {
  const facts = doc.getElementById("dataset-facts"), v = detail.v;
  if (target.id !== "dataset" || !facts || !v?.dataset_id) return;
  if (v.state !== facts.dataset.state) return location.reload();
  const fresh = v.end - facts.dataset.end, mark = doc.querySelector("[data-new]");
  facts.querySelector("[data-rows]").textContent = v.rows.toLocaleString("en");
  mark.querySelector("[data-new-count]").textContent = fresh.toLocaleString("en");
  mark.hidden = fresh <= 0;
});
doc.addEventListener("keydown", (event) => {
  const mark = doc.querySelector("[data-new]:not([hidden])");
  if (event.key === "." && mark && !event.target.closest("input,textarea,select") && !("noKeys" in doc.body.dataset)) mark.click();
});

doc.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-all]")) return;
  for (const box of doc.querySelectorAll(`input[name=${target.dataset.all}]`)) box.checked = target.checked;
});

// A file of any size: announced, then sent part by part; a part that got lost is sent again from where the server is
async function send(form) {
  const file = form.elements.file.files[0], state = form.querySelector("[data-upload-state]");
  const [bar, words] = [state.querySelector("progress"), state.querySelector("[data-upload-words]")];
  if (!file.size) throw new Error("The file is empty.");
  const tell = (at) => {
    bar.value = at / file.size;
    words.textContent = `${(at / 1e6).toFixed(1)} of ${(file.size / 1e6).toFixed(1)} MB`;
  };
  const about = new FormData(form);
  about.delete("file");
  about.set("name", file.name);
  about.set("size", file.size);
  state.hidden = false;
  tell(0);
  const place = await ask(form.action, { body: about });
  for (let at = 0, failed = 0; at < file.size;) {
    try {
      ({ received: at } = await ask(place.part, { body: file.slice(at, at + PART), headers: { "X-Offset": at, "Content-Type": "application/octet-stream" } }));
      failed = 0;
    } catch (error) {
      if (error.received === undefined && ++failed > TRIES) throw error;
      if (error.received !== undefined) at = error.received;
      await new Promise((done) => setTimeout(done, 500 * failed));
    }
    tell(at);
  }
  location.assign(place.preview);
}
async function ask(url, options) {
  const headers = { ...options.headers, "X-CSRFToken": consoleUI.csrf() };
  const answer = await fetch(url, { method: "POST", ...options, headers });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(value.detail || `The server answered ${answer.status}.`), value);
  return value;
}
doc.addEventListener("submit", (event) => {
  const form = event.target, file = form.matches("[data-upload]") && form.elements.file.files[0];
  if (!file) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  send(form).catch((error) => {
    consoleUI.toast(error.message, "error");
    form.querySelector("[data-upload-state]").hidden = true;
  }).finally(() => { button.disabled = false; });
});
})();
