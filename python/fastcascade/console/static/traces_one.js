// One decision: its figures, the waterfall of its tries, what was asked and said, and the same under other thresholds.
// Everything that a model or a caller wrote goes in as text, in its own direction.

import { announce, badge, call, count, el, hostile, money, moment, put, seconds, wrong } from "./shell.js";

const TONES = { accept: "accent", escalate: "warn", abstain: "warn", failed: "bad", empty: "", incomplete: "bad", cancelled: "faint", unknown: "warn" };
const WORDS = { accept: "accepted", escalate: "escalated", abstain: "abstained", empty: "no answer" };
const verdict = (name) => badge(WORDS[name] ?? name, TONES[name] ?? "");
const CAUSES = { bug: "its code raised an exception" }; // which words it raised stays out of the store
const known = (value) => value !== null && value !== undefined;
const bdi = (text) => el("bdi", {}, text);

export function draw(whole) {
  const { row } = whole;
  const title = el("h2", { tabindex: "-1" }, `Decision #${row.number}`);
  return [
    el("div", { class: "one-head" }, title, moment(row.at), row.failure ? badge(row.failure, "bad") : null, row.degraded ? badge(row.degraded, "warn") : null, row.escalated ? badge("escalated", "accent") : null),
    el("section", { class: "panel", "aria-label": "Figures" }, figures(row, whole.grades)),
    el("section", { class: "panel" }, el("h2", {}, "Attempts"), attempts(whole), stacked(whole)),
    whole.by ? el("section", { class: "panel" }, el("h2", {}, "Under another threshold"), other(whole)) : null,
    el("section", { class: "panel" }, el("h2", {}, "What was asked and said"), texts(whole)),
  ];
}

function figures(row, grades) {
  const pair = (name, value) => (value === null ? null : el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  return el("dl", { class: "pairs" },
    pair("Answered by", bdi(row.tier || row.by || "nobody")), pair("Layer", row.layer), row.via ? pair("Via", bdi(row.via)) : null,
    pair("Cost", money(row.cost_usd)), known(row.baseline_usd) ? pair("Last tier alone, about", money(row.baseline_usd)) : null, pair("Took", seconds(row.seconds)), pair("Sure", known(row.confidence) ? row.confidence.toFixed(3) : "–"),
    pair("Tokens", `${count(row.input)} in, ${count(row.output)} out`), pair("Calls", count(row.calls)),
    row.slice ? pair("Slice", bdi(row.slice)) : null, row.cascade ? pair("Cascade", bdi(row.cascade)) : null, row.caller ? pair("Key", bdi(row.caller)) : null,
    row.status ? pair("Status", String(row.status)) : null, row.path ? pair("Path", bdi(row.path)) : null, row.id ? pair("Request id", el("code", {}, bdi(row.id))) : null,
    ...grades.map((each) => pair("Grade", [each.score.toFixed(2), ` of ${each.tier}, from `, bdi(each.source || "somebody"), known(each.propensity) ? "" : " (unasked)"])));
}

/** Where each try and call lies on the time of the whole; of those that do not say when, one begins where one ended. */
function placed(list, began) {
  let end = began;
  return list.map((each) => {
    const start = known(each.started) ? each.started : end;
    end = start + (each.seconds ?? 0);
    return { ...each, start };
  });
}

function bar(start, took, whole, kind) {
  const inner = el("i", {});
  inner.style.left = `${whole ? Math.min(99.5, (100 * start) / whole) : 0}%`;
  inner.style.width = `${whole ? Math.min(100, (100 * (took ?? 0)) / whole) : 0}%`;
  return el("div", { class: `time ${kind === "empty" ? "empty-try" : kind}`, "aria-hidden": "true" }, inner);
}

function attempts(whole) {
  const list = placed(whole.attempts, 0);
  if (!list.length) return el("p", { class: "note" }, "No tier was tried: it was answered before it came to that.");
  const all = Math.max(0, ...list.map((each) => each.start + (each.seconds ?? 0)));
  const said = whole.texts?.said ?? {};
  return el("ol", { class: "falls" }, list.map((each) => {
    const calls = placed(each.calls ?? [], each.start);
    const tier = whole.tiers.find((held) => held.name === each.tier);
    const limit = tier?.gated && known(each.score) ? `, accepted from ${tier.accept.toFixed(2)} now` : "";
    return el("li", {},
      el("div", { class: "fall-head" }, el("b", {}, bdi(each.tier)), verdict(each.verdict),
        known(each.score) ? el("span", {}, `score ${each.score.toFixed(3)}${limit}`) : null,
        el("span", {}, money(each.cost_usd)), el("span", {}, seconds(each.seconds)), each.model ? el("span", { class: "note" }, bdi(each.model)) : null),
      each.reason ? el("p", { class: "note" }, bdi(each.reason)) : null,
      each.error ? el("p", { class: "note" }, "Failed: ", bdi(each.error), CAUSES[each.error] ? ` (${CAUSES[each.error]})` : "") : null,
      bar(each.start, each.seconds, all, each.verdict),
      calls.length ? el("ul", { class: "calls" }, calls.map((one) => of_call(one, all, said[one.label]))) : null);
  }));
}

/** What the bars span. Without texts it is not kept when a try began: they stand one after the other, which is said. */
function stacked(whole) {
  if (!whole.attempts.length) return null;
  const list = placed(whole.attempts, 0);
  const spans = `The bars span ${seconds(Math.max(...list.map((each) => each.start + (each.seconds ?? 0))))} of the ${seconds(whole.row.seconds)} it took in all.`;
  return el("p", { class: "note beneath" }, spans, known(whole.attempts[0].started) ? "" : " When each began is kept with texts alone; here one follows the other.");
}

function of_call(one, all, reply) {
  const tokens = known(one.input) || known(one.output) ? `${count(one.input ?? 0)} in, ${count(one.output ?? 0)} out` : null;
  return el("li", {},
    el("div", { class: "call-head" }, el("code", {}, bdi(one.label)), el("span", {}, `${money(one.cost_usd)}${one.estimated ? " (estimated)" : ""}`), el("span", {}, seconds(one.seconds)),
      tokens ? el("span", {}, tokens) : null, one.by ? el("span", {}, "by ", bdi(one.by)) : null, one.failure ? badge(one.failure, "bad") : null),
    bar(one.start, one.seconds, all, ""),
    reply?.text ? el("details", {}, el("summary", {}, "What it said"), hostile(reply.text), cut(reply)) : null);
}

const cut = (held) => (held.cut ? el("p", { class: "note" }, `${count(held.cut)} more characters are not shown.`) : null);

function texts(whole) {
  if (!whole.texts) return el("p", { class: "note" }, "Texts of this decision were not kept. ", el("code", {}, "[gateway.decisions] texts = true"), " keeps those to come.");
  if (whole.texts.unread) return el("p", { class: "note" }, "What was kept of it cannot be read by this version.");
  const turn = (name, held) => el("div", { class: "turn" }, el("h3", {}, name), hostile(held.text), cut(held));
  const { answer, parameters } = whole.texts;
  const settings = Object.entries(parameters);
  return el("div", { class: "turns" },
    whole.texts.messages.map((each) => turn(each.role, each)),
    answer ? [turn("answer", answer), answer.tools.map((each) => el("div", { class: "turn" }, el("h3", {}, "calls a tool"), hostile(each)))] : el("p", { class: "note" }, "There was no answer."),
    settings.length ? el("p", { class: "note" }, settings.flatMap(([name, value]) => [`${name}: `, bdi(String(value)), "  "])) : null);
}

function other(whole) {
  const gated = whole.tiers.filter((each) => each.gated);
  if (!gated.length) return el("p", { class: "note" }, "No tier of this cascade has a gate: there is no threshold to change.");
  const told = el("div", {});
  const accept = Object.fromEntries(gated.map((each) => [each.name, each.accept]));
  let timer = 0;
  let turn = 0;
  const ask = async (aloud) => {
    const mine = (turn += 1);
    try {
      const said = await call("POST", "/console/api/traces/replay", { number: whole.row.number, accept });
      if (mine !== turn) return;
      put(told, outcome(whole, said));
      if (aloud) announce(told.querySelector(".verdict")?.textContent ?? "");
    } catch (error) {
      if (mine === turn) put(told, wrong(error));
    }
  };
  const sliders = gated.map((each, place) => {
    const score = whole.attempts.find((held) => held.tier === each.name)?.score;
    const output = el("output", { for: `accept-${place}` }, each.accept.toFixed(2));
    const input = el("input", { type: "range", id: `accept-${place}`, min: "0", max: "1", step: "0.01" });
    input.value = String(each.accept);
    input.addEventListener("input", () => {
      accept[each.name] = Number(input.value);
      put(output, accept[each.name].toFixed(2));
      clearTimeout(timer);
      timer = setTimeout(() => ask(true), 150);
    });
    return el("div", { class: "slider" }, el("label", { for: `accept-${place}` }, "Accept ", bdi(each.name), known(score) ? ` from (here it scored ${score.toFixed(3)})` : " from (not scored here)"), input, output);
  });
  ask(false);
  const how = whole.by === "replay" ? "Replayed from what was recorded: no call is made." : "Texts were not kept, so this goes by the scores alone: a policy or a gate that asks for more is not looked at.";
  return [el("div", { class: "sliders" }, sliders), told, el("p", { class: "note beneath" }, how)];
}

function outcome(whole, said) {
  const before = whole.row;
  const tries = said.attempts.map((each) => el("li", {}, bdi(each.tier), " ", verdict(each.verdict), known(each.score) ? ` score ${each.score.toFixed(3)}` : "", ` · ${money(each.cost_usd)} · ${seconds(each.seconds)}`));
  const list = el("ol", { class: "beneath tries" }, tries);
  if (!said.known) {
    const { tier, label, estimate_usd: estimate } = said.unknown;
    const gate = label && !label.split("~")[0].endsWith("/answer");
    return [
      el("div", { class: "verdict unknown" },
        tier ? (gate ? ["The gate of ", bdi(tier), " would have asked for something that was not asked in this run (", el("code", {}, bdi(label)), ")."] : ["It would have gone on to ", bdi(tier), ", which was not asked in this run."]) : "No tier would have answered.",
        " What that would have said, and cost, cannot be known from this trace.",
        known(estimate) ? ` A call to it is likely to cost about ${money(estimate)}.` : ""),
      el("p", { class: "note beneath" }, `Known is what comes before, for ${money(said.cost_usd)}:`), list,
    ];
  }
  const same = said.tier === before.tier && said.via === before.via;
  const less = known(said.cost_usd) && known(before.cost_usd) ? before.cost_usd - said.cost_usd : 0;
  const saved = Math.abs(less) < 1e-8 ? 0 : less; // the store rounds to a billionth of a dollar
  const text = said.text !== null && said.text !== whole.texts?.answer?.text;
  return [
    el("div", { class: "verdict" }, same ? ["The same: ", bdi(said.tier || said.via || "nobody"), " answers"] : [bdi(said.tier || said.via || "Nobody"), " would have answered"],
      `, for ${money(said.cost_usd)} and in ${seconds(said.seconds)}`, saved ? `: ${money(Math.abs(saved))} ${saved > 0 ? "less" : "more"} than it cost.` : ".", said.degraded ? [" Degraded: ", bdi(said.degraded), "."] : ""),
    list,
    text ? el("div", { class: "turn beneath" }, el("h3", {}, "What it would have said"), hostile(said.text)) : null,
  ];
}
