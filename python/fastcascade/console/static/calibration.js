// The page on calibration: asks until it is worked out, and shows it; the choices are in the address.

import { announce, call, el, empty, percent, put, wrong } from "./shell.js";
import { known, labels, line } from "./calibration_parts.js";

const at = (id) => document.getElementById(id);
const FIELDS = ["keep", "confidence", "signal", "cheap", "dear"];
const EVERY = 600;
const SELDOM = 5000; // a recording may be under way that is not there yet, or not whole
let timer = 0;
let turn = 0;
let drawn = ""; // what is shown, as it came: the same is left alone

function query() {
  const words = new URLSearchParams();
  for (const name of FIELDS) if (at(name).value) words.set(name, at(name).value);
  return words;
}

async function ask(again = false) {
  clearTimeout(timer);
  const mine = (turn += 1);
  const words = query();
  try {
    const said = again ? await call("POST", "/console/api/calibration/again", Object.fromEntries(words)) : await call("GET", `/console/api/calibration?${words}`);
    if (mine !== turn) return;
    show(said);
  } catch (error) {
    drawn = "";
    at("shown").querySelector(".late")?.remove();
    if (mine === turn) put(at("failed"), wrong(error), anew());
  }
}

function anew() {
  const button = el("button", { type: "button" }, "Try again");
  button.addEventListener("click", () => ask(true));
  return el("p", { class: "beneath" }, button);
}

function show(said) {
  const working = said.state === "working";
  const every = working ? EVERY : SELDOM;
  if (said.state !== "done" && said.state !== "lacks") timer = setTimeout(ask, document.hidden ? 4 * every : every);
  const came = JSON.stringify(said);
  if (came === drawn) return;
  drawn = came;
  put(at("failed"));
  at("work").hidden = !working;
  at("shown").querySelector(".late")?.remove();
  at("choices").hidden = said.state === "none" || said.state === "lacks" || said.state === "absent";
  put(at("source"), said.source?.kind === "recording" ? ["From the recording ", el("code", {}, said.source.file)] : said.source ? "From the grades that decisions have got" : null);
  if (working) {
    put(at("step"), `${said.step}, since ${Math.round(said.seconds)} s`);
    return;
  }
  if (said.state === "failed") put(at("failed"), wrong(new Error(said.error)), anew());
  put(at("shown"), shown(said));
  document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
}

function shown(said) {
  if (said.state === "done") {
    choices(said.figures);
    return known(said);
  }
  if (said.state === "labels") return labels(said);
  if (said.state === "lacks") return [empty(`Missing here: ${said.lacks.join(" and ")}`, "The figures of this page are worked out with them; the gateway itself needs neither."), line(said.command)];
  if (said.state === "absent") return [el("p", { class: "wrong" }, said.error), recipe(said)];
  if (said.state === "none") return [said.error ? el("p", { class: "wrong" }, said.error) : null, empty("Nothing to calibrate by yet", "Calibration needs cases of which every tier's answer was graded."), recipe(said)];
  return null;
}

/** The commands that lead to a recording. */
function recipe(said) {
  return el("section", { class: "panel" },
    el("h2", {}, "How to make a recording"),
    el("div", { class: "apply" },
      el("p", {}, "1. Write some hundred cases with their right answers, one JSON object to a line:"),
      line('{"id": "1", "prompt": "What is 6 times 7?", "expected": "42"}'),
      el("p", {}, "2. Ask every tier every case, once. This calls the models, and costs what it costs; a cap can be set with --cap-usd:"),
      said.recipe.map(line),
      el("p", {}, "3. Name it in the cascade's file, and start the gateway anew:"),
      line('[gateway.console]\nrun = "run.db"'),
      el("p", { class: "note" }, "Without a recording this page goes by the grades that decisions get in production, from 30 drawn labels of a tier on. A table of those, where both tiers were graded, can be named in place of a recording:"),
      said.export.map(line)));
}

function choices(figures) {
  options("signal", figures.signals, "the best one", figures.signals.length > 1);
  const tiers = [...new Set([figures.tiers[0], ...figures.besides, figures.tiers.at(-1)])];
  options("cheap", tiers, "the first with a score", figures.besides.length > 0);
  options("dear", tiers, "the last", figures.besides.length > 0);
}

function options(id, values, none, several) {
  const value = at(id).value;
  put(at(id), el("option", { value: "" }, none), values.map((each) => el("option", { value: each }, each)));
  at(id).value = values.includes(value) ? value : "";
  at(`of-${id}`).hidden = !several;
}

const asked = new URLSearchParams(location.search);
for (const name of FIELDS) {
  const value = asked.get(name);
  if (!value) continue;
  if (![...at(name).options].some((each) => each.value === value)) at(name).append(el("option", { value }, name === "keep" || name === "confidence" ? percent(value) : value));
  at(name).value = value;
}
for (const name of FIELDS) {
  at(name).addEventListener("change", () => {
    const words = query();
    history.replaceState(null, "", `${location.pathname}?${words}`);
    announce("Working it out");
    ask();
  });
}
at("choices").addEventListener("submit", (event) => event.preventDefault());
ask();
