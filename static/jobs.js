// Jobs: what is chosen stays chosen when the list is drawn anew, and a log that is read at its end stays at its end.
(() => {
"use strict";
const doc = document, chosen = new Set();
const boxes = () => [...doc.querySelectorAll("[data-pick]")];
function show() {
  const all = boxes(), words = doc.querySelector("[data-chosen]"), head = doc.querySelector("[data-pick-all]");
  const here = new Set(all.map((box) => box.value));
  for (const value of chosen) if (!here.has(value)) chosen.delete(value);
  for (const box of all) {
    box.checked = chosen.has(box.value);
    const row = box.closest("tr");
    if (box.checked) row.setAttribute("aria-selected", "true"); else row.removeAttribute("aria-selected");
  }
  if (head) { head.checked = all.length > 0 && chosen.size === all.length; head.indeterminate = !head.checked && chosen.size > 0; }
  if (words) { words.textContent = `${chosen.size} chosen`; words.hidden = !chosen.size; }
  for (const button of doc.querySelectorAll("[data-many]")) button.disabled = !chosen.size;
}
let last;
doc.addEventListener("click", (event) => {
  const box = event.target.closest("[data-pick],[data-pick-all]");
  if (!box) return;
  const all = boxes(), from = all.indexOf(last), to = all.indexOf(box);
  const these = box.matches("[data-pick-all]") ? all : event.shiftKey && from >= 0 ? all.slice(Math.min(from, to), Math.max(from, to) + 1) : [box];
  for (const one of these) if (box.checked) chosen.add(one.value); else chosen.delete(one.value);
  last = box;
  show();
});

// The log follows its end until the reader scrolls away from it.
let atEnd = true;
const log = () => doc.querySelector("[data-follow]");
doc.addEventListener("scroll", ({ target }) => {
  if (target === log()) atEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 24;
}, true);
function follow() {
  const box = log();
  if (box && atEnd) box.scrollTop = box.scrollHeight;
}
const again = () => { show(); follow(); };
for (const name of ["live:painted", "htmx:afterSettle", "htmx:load"]) doc.addEventListener(name, again);
again();
})();
