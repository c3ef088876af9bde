// The live page: asks every second or two while it is looked at, and says aloud only what one asks to hear.

import { lines } from "./chart.js";
import { announce, call, count, el, empty, money, percent, put, seconds, wrong } from "./shell.js";
import * as parts from "./live_parts.js";

const at = (id) => document.getElementById(id);
const EVERY = 1500;
const KEPT = 20;
const shown = new Map(); // what each part was made of: what has not changed is left alone
let paused = false;
let timer = 0;
let under = false; // whether a call is under way
let said = null;
let rows = [];
let number = 0;

/** Whether somebody is about to use what stands there: it is not to be taken from under their hands. */
function held(id, node) {
  const chosen = getSelection();
  if (!chosen.isCollapsed && (node.contains(chosen.anchorNode) || node.contains(chosen.focusNode))) return true;
  return id === "last" && (node.contains(document.activeElement) || (matchMedia("(hover: hover)").matches && node.matches(":hover")));
}

/** Put a part anew if its values changed; what was opened stays open, and what had the focus keeps it. */
function part(id, values, make) {
  const key = JSON.stringify(values);
  if (shown.get(id) === key) return;
  const node = at(id);
  if (held(id, node)) return;
  shown.set(id, key);
  const open = [...node.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...node.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const reachable = () => [...node.querySelectorAll("a, summary, .scroll")];
  const focused = reachable().indexOf(document.activeElement);
  put(node, make());
  [...node.querySelectorAll("details")].forEach((each, place) => (each.open = open[place] ?? false));
  [...node.querySelectorAll(".scroll")].forEach((each, place) => (each.scrollLeft = scrolled[place] ?? 0));
  if (focused >= 0) reachable()[focused]?.focus({ preventScroll: true });
}

function hours(found) {
  const shownHours = found.filter((each) => each.reached);
  if (shownHours.length < 2) return el("p", { class: "note" }, shownHours.length ? "All of it lies in one hour: with a longer window, or later, figures show by the hour." : "No decisions in this window.");
  const long = shownHours.length > 36;
  // Along hours, counted: so that what is written below them are whole ones.
  const hour = (x) => (Number.isInteger(x) ? new Date(x * 3600000).toLocaleString("en-GB", long ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" }) : "");
  const line = (name, value, tone) => ({ name, tone, points: shownHours.map((each) => ({ x: Number(each.key) / 3600, y: value(each) })) });
  const x = { format: hour, time: true };
  return el("div", { class: "hours" },
    lines({ title: "Escalated and saved, by hour", x, y: { format: (value) => percent(value), max: 1 }, series: [line("escalated", (each) => each.escalated / each.reached, "warn"), line("saved", (each) => each.saved, "accent")] }),
    lines({ title: "Decisions, by hour", x, y: { format: count, min: 0 }, series: [line("decisions", (each) => each.reached, "accent")] }),
    lines({ title: "Cost, by hour", x, y: { format: money, min: 0 }, series: [line("cost", (each) => each.cost_usd, "ink")] }),
    lines({ title: "Latency at p95, by hour", x, y: { format: seconds, min: 0 }, series: [line("p95", (each) => each.p95, "ink")] }));
}

function draw() {
  const { figures, health } = said;
  part("alerts", said.alerts, () => parts.alerts(said.alerts));
  part("health", [health.pools, health.others.breakers, health.others.shut, health.others.workers], () => parts.health(health.pools, health.others));
  choices(said.cascades);
  if (!figures) {
    part("sums", "none", () => []);
    part("funnel", "none", () => empty("No decisions are kept", "Say [gateway.decisions] in the cascade's file; they are kept where there is a console, too."));
    return;
  }
  const { age, took, made, ...values } = figures;
  part("sums", [values.total, values.saved, health.others.in_flight, health.others.workers], () => parts.sums(figures, health.others));
  part("funnel", values.funnel, () => parts.funnel(values.funnel));
  part("savings", values.saved, () => parts.savings(values.saved));
  part("paths", values.paths, () => parts.paths(values.paths));
  part("quality", [values.graded, values.graded_slices], () => parts.quality(values.graded, values.graded_slices, values.graded_days));
  part("hours", values.hours, () => hours(values.hours));
  part("latency", [values.layers, values.funnel], () => parts.latency(values.layers, values.funnel));
  part("slices", values.slices, () => parts.slices(values.slices, values.more_slices));
  stream(said.last);
  state(`Figures of ${said.figures.age < 1.5 ? "now" : `${Math.round(age)} s ago`}, added up in ${seconds(took)}.`);
}

function stream(last) {
  // Where most of what is shown is new, to mark it says nothing.
  const fresh = new Set(number && last.rows.length <= KEPT / 2 ? last.rows.map((row) => row.number) : []);
  if (last.skipped) rows = [];
  rows = [...last.rows, ...rows].slice(0, KEPT);
  number = last.number;
  part("last", [rows.map((row) => row.number), Math.floor(said.now / 5)], () => parts.last(rows, fresh, said.now));
}

function choices(names) {
  const select = at("cascade");
  if (select.options.length === names.length + 1) return;
  const chosen = select.value;
  put(select, el("option", { value: "" }, "all"), names.map((name) => el("option", { value: name }, name)));
  select.value = chosen;
}

function state(text) {
  put(at("state"), paused ? "Paused. " : "", text);
}

async function ask() {
  clearTimeout(timer);
  if (under || document.hidden) return;
  under = true;
  const query = new URLSearchParams({ window: at("window").value });
  if (at("cascade").value) query.set("cascade", at("cascade").value);
  if (number) query.set("after", String(number));
  const before = query.toString();
  try {
    const answer = await call("GET", `/console/api/live?${query}`);
    put(at("failed"));
    if (before.startsWith(`window=${at("window").value}`)) {
      said = answer;
      draw();
      document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
    }
  } catch (error) {
    if (!at("failed").textContent.includes(error.message)) put(at("failed"), wrong(error));
    state("Trying again.");
  } finally {
    under = false;
    if (!paused) timer = setTimeout(ask, EVERY);
  }
}

function anew() {
  rows = [];
  number = 0;
  const url = new URL(location.href);
  for (const name of ["window", "cascade"]) {
    if (at(name).value && !(name === "window" && at(name).value === "3600")) url.searchParams.set(name, at(name).value);
    else url.searchParams.delete(name);
  }
  history.replaceState(null, "", url);
  state("Adding up.");
  ask();
}

const asked = new URLSearchParams(location.search);
if ([...at("window").options].some((each) => each.value === asked.get("window"))) at("window").value = asked.get("window");
if (asked.get("cascade")) {
  at("cascade").append(el("option", { value: asked.get("cascade") }, asked.get("cascade")));
  at("cascade").value = asked.get("cascade");
}
at("choices").addEventListener("submit", (event) => event.preventDefault());
at("window").addEventListener("change", anew);
at("cascade").addEventListener("change", anew);
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  put(at("pause"), paused ? "Go on" : "Pause");
  announce(paused ? "Paused" : "Going on");
  if (paused) {
    clearTimeout(timer);
    state("Figures stand still.");
  } else ask();
});
at("aloud").addEventListener("click", () => said && announce(parts.aloud(said, at("window").selectedOptions[0].text)));
document.addEventListener("visibilitychange", () => document.hidden || paused || ask());
ask();
