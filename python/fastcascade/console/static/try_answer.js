// What came of a run: the answer as hostile text, every attempt, a person's word on it, and the same as a command.

import { announce, badge, call, copy, el, hostile, money, percent, put, seconds, table, wrong } from "./shell.js";

const find = (id) => document.getElementById(id);
const VERDICTS = { accept: "accepted", escalate: "escalated", abstain: "abstained", empty: "no answer" };
const TONES = { accept: "accent", escalate: "warn", abstain: "warn", failed: "bad" };

/** Say what a text would cost through a cascade that is served. */
export async function estimate(place, cascade, text) {
  put(place, "Working out what it would cost …");
  try {
    const said = await call("POST", "/console/api/try/estimate", { cascade, text: text.trim() || "?" });
    const tiers = said.tiers.map((each) => `${each.tier} ${money(each.usd)}`).join(", ");
    const range = said.most === null ? "a price is not known, and so it is not run" : `${money(said.least)} to ${money(said.most)}, gates not counted`;
    put(place, el("bdi", {}, `Estimate: ${range} (${tiers}). `), `Left today: ${money(said.left)} of ${money(said.a_day)}.`);
  } catch (error) {
    put(place, error.message);
  }
}

/** Fill the part below the bands. */
export function showAnswer(told) {
  const answer = told.answer;
  find("result").hidden = false;
  put(find("tags"), tags(answer));
  put(find("answer"), answer.text ? hostile(answer.text, "pre", "Text of the answer") : el("p", { class: "note" }, "No text came with it."));
  put(find("trace"), told.trace.length ? trace(told.trace) : null);
  put(find("person"), answer.ticket && !told.request.cascade ? person(answer.ticket) : null);
  put(find("more"), more(told));
}

function tags(answer) {
  const from = { L1: "from the cache", L2: "from a route", L3: "from the guard", L4: "from a model", L5: "from the fallback", L0: "from the entry" };
  return [
    badge(`${answer.status}`, answer.status < 400 ? "accent" : "bad"),
    badge(`${answer.layer}, ${from[answer.layer]}`),
    answer.tier && badge(`tier ${answer.tier}`),
    answer.via && badge(answer.via),
    Number.isFinite(answer.confidence) && badge(`confidence ${percent(answer.confidence, 100)}`),
    answer.degraded && badge(answer.degraded, "warn"),
    answer.retry_after && badge(`again in ${seconds(answer.retry_after)}`, "warn"),
  ];
}

function trace(attempts) {
  const columns = [{ name: "Tier" }, { name: "Verdict" }, { name: "Score", number: true }, { name: "Calls", number: true }, { name: "Time", number: true }, { name: "Cost", number: true }, { name: "Why", wide: true }];
  const rows = attempts.map((each) => [
    el("bdi", {}, each.tier),
    badge(VERDICTS[each.verdict] ?? each.verdict, TONES[each.verdict] ?? ""),
    each.score === null ? "–" : each.score.toFixed(2),
    each.calls.length,
    seconds(each.seconds),
    money(each.usd),
    el("bdi", {}, each.reason || "–"),
  ]);
  return [el("h3", {}, "Attempts"), table("Attempts", columns, rows)];
}

/** Somebody is to answer: whoever looks at this page may be that person. */
function person(ticket) {
  const words = el("textarea", { id: "words", rows: "2", required: true });
  const form = el("form", {}, el("h3", {}, "A person answers"),
    el("p", { class: "note" }, "The caller holds the ticket ", el("span", { class: "mono" }, ticket), " and waits. Be the reviewer:"),
    el("label", { for: "words" }, "Your answer"), words,
    el("div", { class: "tools" }, el("button", { type: "submit" }, "Answer it")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const said = await call("POST", "/console/api/try/person", { ticket, text: words.value });
      put(form, el("h3", {}, "A person answered"), el("p", { class: "note" }, "By ", el("bdi", {}, said.by), "; the caller's ticket now leads to this:"), hostile(said.text));
      announce("The caller has the answer.");
    } catch (error) {
      form.append(wrong(error));
    }
  });
  return form;
}

function more(told) {
  const parts = [];
  if (told.request.cascade) {
    const button = el("button", { type: "button" }, "Copy as curl");
    button.addEventListener("click", () => copy(curl(told.request), button));
    parts.push(button);
  }
  if (told.decision_id) parts.push(el("a", { href: `/console/traces?open=${encodeURIComponent(told.decision_id)}` }, "Open its trace"));
  return parts;
}

/** The same request for a shell; the key is left to the variable that holds it. */
function curl(request) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const body = JSON.stringify({ model: request.cascade, messages: [{ role: "user", content: request.text }] });
  return `curl ${quoted(`${location.origin}${request.path}`)} -H "authorization: Bearer $FASTCASCADE_KEY" -H 'content-type: application/json' -d ${quoted(body)}`;
}
