// "Try it": a request goes down the layers of the playground, or of a cascade that is served.

import { announce, badge, call, el, empty, put, still, wrong } from "./shell.js";
import { Bands } from "./try_bands.js";
import { estimate, showAnswer } from "./try_answer.js";

const find = (id) => document.getElementById(id);
const bands = new Bands(find("bands"));
let running = false;

async function begin() {
  let shown;
  try {
    shown = await call("GET", "/console/api/try");
  } catch (error) {
    put(find("presets"), empty("No presets", "The gateway did not say what there is to try."));
    put(find("problem"), wrong(error));
    return;
  }
  put(find("presets"), shown.presets.map(button));
  put(find("condition"), shown.conditions.map((each) => el("option", { value: each.id }, each.title)));
  for (const name of shown.cascades) find("target").append(el("option", { value: name }, `${name} (served, costs money)`));
  aimed();
}

function button(preset) {
  const made = el("button", { type: "button", "aria-pressed": "false", "data-preset": preset.id, title: preset.watch }, preset.title);
  made.addEventListener("click", () => {
    press(made);
    put(find("watch"), preset.watch);
    send(() => call("POST", "/console/api/try/run", { preset: preset.id }), preset);
  });
  return made;
}

function press(chosen) {
  for (const each of find("presets").children) each.setAttribute("aria-pressed", String(each === chosen));
}

function own(event) {
  event.preventDefault();
  const text = find("text").value;
  const cascade = find("target").value;
  if (!text.trim()) {
    put(find("own-note"), "Write something first.");
    find("text").focus();
    return;
  }
  press(null);
  const condition = find("condition").value || undefined; // not there yet: all is well
  const asked = { method: "POST", path: cascade ? "/v1/chat/completions" : "/ask", text, condition };
  put(find("watch"), cascade ? `Through “${cascade}”, as this gateway serves it.` : "Through the playground. Ask the same twice, and the second is answered by the cache.");
  if (cascade) send(() => call("POST", "/console/api/try/served", { cascade, text }), asked);
  else send(() => call("POST", "/console/api/try/run", { text, condition }), asked);
}

async function send(ask, request) {
  if (running) return; // the last one is still on its way
  running = true;
  find("send").disabled = true;
  put(find("problem"));
  put(find("sum"));
  find("result").hidden = true;
  put(find("line"), line(request));
  bands.begin();
  if (matchMedia("(max-width: 860px)").matches) document.querySelector(".way").scrollIntoView({ behavior: still() ? "auto" : "smooth" });
  try {
    const told = await ask();
    await bands.travel(told, find("sum"));
    showAnswer(told);
    announce(spoken(told));
  } catch (error) {
    bands.stop();
    put(find("problem"), wrong(error));
  } finally {
    running = false;
    find("send").disabled = false;
    aimed();
  }
}

function line(request) {
  const text = request.text ?? "";
  const body = text.length > 300 ? `${text.slice(0, 300)}…` : text;
  return [el("bdi", { class: "mono" }, `${request.method} ${request.path}`), request.key && badge(`key ${request.key}`), body && el("bdi", { class: "quoted" }, body)];
}

function spoken(told) {
  const steps = told.steps.map((step) => {
    const why = step.detail.at(-1);
    return `${step.layer} ${step.name}: ${step.outcome}${why ? `, ${why}` : ""}.`;
  });
  return `${steps.join(" ")} Status ${told.answer.status}, from ${told.answer.layer}.`;
}

let waiting = 0;
function aimed() {
  const cascade = find("target").value;
  find("condition-field").hidden = Boolean(cascade);
  find("cost").hidden = !cascade;
  put(find("own-note"));
  clearTimeout(waiting);
  const text = find("text").value;
  if (cascade) waiting = setTimeout(() => estimate(find("cost"), cascade, text), 250);
}

// Before anything is asked: a text that is sent while the presets are on their way is not to load the page anew.
find("own").addEventListener("submit", own);
find("target").addEventListener("change", aimed);
find("text").addEventListener("input", aimed);
find("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("own").requestSubmit();
});
put(find("bands"), bands.rows);
begin();
