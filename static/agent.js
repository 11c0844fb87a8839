// The agent form: what the live check says replaces what the last send said, and a tool described with fields becomes JSON.
(() => {
"use strict";
const doc = document, $ = (selector, from = doc) => from.querySelector(selector);
const TYPES = ["string", "number", "integer", "boolean", "array", "object"];

doc.addEventListener("htmx:afterSwap", (event) => {
  const part = event.target.closest("[data-checked]");
  if (!part) return;
  const control = doc.getElementById(part.dataset.checked), now = $(".now", part);
  doc.getElementById(part.dataset.checked + "-e")?.remove();
  now.id = part.dataset.checked + "-e";
  if (now.firstElementChild) control.setAttribute("aria-invalid", "true"); else control.removeAttribute("aria-invalid");
  const described = new Set((control.getAttribute("aria-describedby") || "").split(" ").filter(Boolean)).add(now.id);
  control.setAttribute("aria-describedby", [...described].join(" "));
});

// The trial beside the form: a page without script has none
const trial = $("[data-ui=trial]");
doc.addEventListener("trial-sent", () => { doc.getElementById("trial-message").value = ""; });
trial?.addEventListener("live:frame", (event) => {
  const frame = event.detail, shown = frame.id && doc.getElementById(frame.id);
  if (frame.e === "turn") $("[data-ui=trial-hint]")?.remove();
  if (shown && (frame.e === "turn" || (frame.e === "step" && !("open" in shown.dataset)))) event.preventDefault();
});
trial?.addEventListener("live:painted", () => $("[data-ui=trial-turn]:last-of-type", trial)?.scrollIntoView({ block: "nearest" }));

const helper = $("[data-ui=tool-helper]");
if (helper) helper.hidden = false;
function readArguments(text) {
  const properties = {}, required = [];
  for (const line of text.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const match = /^([A-Za-z_]\w*)\s*(?::\s*(\w+))?\s*(,\s*optional)?$/.exec(line);
    if (!match || (match[2] && !TYPES.includes(match[2]))) throw new Error(`“${line}” is not “name: type”.`);
    properties[match[1]] = { type: match[2] || "string" };
    if (!match[3]) required.push(match[1]);
  }
  return { type: "object", properties, required };
}
function addTool() {
  const field = doc.getElementById("id_client_tools"), name = doc.getElementById("th-name").value.trim();
  if (!/^[A-Za-z_][\w-]*$/.test(name)) throw new Error("Give the tool a name of letters, digits and underscores.");
  const tools = field.value.trim() ? JSON.parse(field.value) : [];
  const tool = { name, description: doc.getElementById("th-text").value.trim(), input_schema: readArguments(doc.getElementById("th-args").value) };
  field.value = JSON.stringify([...tools.filter((one) => one.name !== name), tool], null, 2);
  field.dispatchEvent(new Event("change", { bubbles: true }));
}
$("[data-ui=add-tool]")?.addEventListener("click", () => {
  const said = $("[data-ui=tool-helper-error]");
  said.textContent = "";
  try {
    addTool();
  } catch (error) {
    said.textContent = error instanceof SyntaxError ? "The client tools above are not JSON yet." : error.message;
  }
});
})();
