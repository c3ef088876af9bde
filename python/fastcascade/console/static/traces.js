// The page of traces: a search whose words are in the address, so that going back finds it again; and one decision.

import { announce, badge, call, count, el, empty, money, moment, put, seconds, table, wrong } from "./shell.js";
import { draw } from "./traces_one.js";

const at = (id) => document.getElementById(id);
const FIELDS = ["text", "name", "cascade", "tier", "layer", "slice", "status", "escalated", "degraded", "cost", "slower", "within"];
const LAYERS = { entry: "L0", cache: "L1", match: "L2", guard: "L3", dispatch: "L4", fallback: "L5" };
let cascades = {};

/** The search as it stands in the address. */
function asked() {
  return new URLSearchParams(location.search);
}

function filled(query) {
  for (const name of FIELDS) {
    const field = at(name);
    const value = query.get(name) ?? "";
    if (value && field.tagName === "SELECT" && ![...field.options].some((each) => each.value === value)) field.append(el("option", { value }, value));
    field.value = value;
  }
}

/** The fields as words of an address; `within` becomes a time when it is asked. */
function typed() {
  const query = new URLSearchParams();
  for (const name of FIELDS) {
    const value = at(name).value.trim();
    if (value) query.set(name, value);
  }
  return query;
}

function go(query, push = true) {
  const words = query.toString();
  const address = `${location.pathname}${words ? `?${words}` : ""}`;
  if (push) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  return show();
}

async function show(focus = true) {
  const query = asked();
  const open = query.get("open");
  at("search").hidden = at("list").hidden = open !== null;
  at("one").hidden = open === null;
  put(at("failed"));
  try {
    if (open !== null) await opened(open, focus);
    else await listed(query);
  } catch (error) {
    put(at("failed"), wrong(error), open === null ? null : el("p", { class: "beneath" }, back(query)));
    at("one").hidden = true;
    put(at("found"));
  }
  document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
}

async function listed(query) {
  filled(query);
  const sent = new URLSearchParams(query);
  const within = sent.get("within");
  sent.delete("within");
  if (within) sent.set("since", String(Math.floor(Date.now() / 1000 - Number(within))));
  put(at("found"), el("span", { class: "late" }, "Searching…"));
  const said = await call("GET", `/console/api/traces?${sent}`);
  known(said);
  const words = said.texts ? "Texts of requests and answers are kept, and searched." : "Texts are not kept: [gateway.decisions] texts = true keeps them, for search and replay.";
  put(at("kept"), said.kept ? words : "No decisions are kept: say [gateway.decisions] in the cascade's file.");
  at("text").disabled = !said.texts;
  const sieved = ["text", "cost", "slower"].some((name) => query.get(name));
  const far = sieved && said.looked_at !== undefined ? ` of ${count(said.looked_at)} looked at` : "";
  put(at("found"), `${said.rows.length ? `${count(said.rows.length)} shown` : "Nothing found"}${far}${said.next === null ? "" : "; there are older ones"}`);
  put(at("list"), said.rows.length ? rows(said.rows) : empty("No such decisions", query.size ? "Clear the search, or look further back." : "They appear as requests are answered; try one on the page Try it."), pages(query, said));
}

function known(said) {
  if (JSON.stringify(cascades) === JSON.stringify(said.cascades)) return;
  cascades = said.cascades;
  const tiers = [...new Set(Object.values(cascades).flat())];
  for (const [name, values] of [["cascade", Object.keys(cascades)], ["tier", tiers]]) {
    const value = at(name).value;
    const more = value && !values.includes(value) ? [value] : [];
    put(at(name), el("option", { value: "" }, "any"), [...values, ...more].map((each) => el("option", { value: each }, each)));
    at(name).value = value;
  }
}

function rows(found) {
  const body = found.map((row) => {
    const query = asked();
    query.set("open", String(row.number));
    const link = el("a", { href: `${location.pathname}?${query}`, "data-open": row.number }, `#${row.number}`);
    return [
      link, moment(row.at), LAYERS[row.layer] ?? row.layer, el("bdi", {}, row.tier || row.by || "–"), row.tiers.length ? el("bdi", {}, row.tiers.join(" → ")) : "–",
      row.slice ? el("bdi", {}, row.slice) : "–", row.confidence === null ? "–" : row.confidence.toFixed(2), money(row.cost_usd), seconds(row.seconds), row.status ? String(row.status) : "–", notes(row),
    ];
  });
  const columns = [{ name: "Number" }, { name: "When" }, { name: "Layer" }, { name: "Answered by" }, { name: "Tried" }, { name: "Slice" }, { name: "Sure", number: true }, { name: "Cost", number: true }, { name: "Took", number: true }, { name: "Status", number: true }, { name: "Notes" }];
  const made = table("Decisions, the newest first", columns, body);
  for (const link of made.querySelectorAll("a[data-open]")) {
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      history.pushState(null, "", link.getAttribute("href"));
      show();
    });
  }
  return made;
}

function notes(row) {
  const found = [];
  if (row.failure) found.push(badge("failed", "bad"));
  if (row.degraded) found.push(badge(row.degraded, "warn"));
  if (row.escalated) found.push(badge("escalated", "accent"));
  return found.length ? found.flatMap((each) => [each, " "]) : "";
}

function pages(query, said) {
  const before = query.get("before");
  if (before === null && said.next === null) return null;
  const newest = el("button", { type: "button", disabled: before === null }, "Newest");
  const older = el("button", { type: "button", disabled: said.next === null }, "Older");
  newest.addEventListener("click", () => {
    const words = asked();
    words.delete("before");
    go(words).then(() => announce(at("found").textContent));
  });
  older.addEventListener("click", () => {
    const words = asked();
    words.set("before", String(said.next));
    go(words).then(() => announce(at("found").textContent));
  });
  return el("div", { class: "pages" }, newest, older);
}

/** The way back to the list, with its search. */
function back(query) {
  const words = new URLSearchParams(query);
  words.delete("open");
  const link = el("a", { href: `${location.pathname}${words.size ? `?${words}` : ""}` }, "← Back to the list");
  link.addEventListener("click", (event) => {
    event.preventDefault();
    go(words);
  });
  return link;
}

async function opened(name, focus) {
  const whole = await call("GET", `/console/api/traces/${encodeURIComponent(name)}`);
  put(at("one"), el("p", {}, back(asked())), draw(whole));
  put(at("kept"));
  if (focus) at("one").querySelector("h2")?.focus();
}

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  go(typed());
});
at("clear").addEventListener("click", () => {
  go(new URLSearchParams()).then(() => at("text").disabled || at("text").focus());
});
addEventListener("popstate", () => show());
show(asked().get("open") !== null);
