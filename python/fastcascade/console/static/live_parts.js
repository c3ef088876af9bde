// What the live page shows of each part of its figures: from values to nodes, with the number that each is of.

import { ago, badge, count, el, empty, money, percent, seconds, table } from "./shell.js";

const span = (low, high, n) => (low === null || low === undefined ? "no interval yet" : `${percent(low, n)} to ${percent(high, n)}`);
const LAYERS = { entry: "L0 entry", cache: "L1 cache", match: "L2 match", guard: "L3 guard", dispatch: "L4 dispatch", fallback: "L5 fallback" };

export const layer = (name) => LAYERS[name] ?? name;

export function alerts(list) {
  if (!list.length) return el("p", { class: "calm" }, "Nothing to act on.");
  return list.map((each) =>
    el("div", { class: `alert ${each.level}` },
      badge(each.level === "bad" ? "Act" : "Look", each.level),
      el("strong", {}, el("bdi", {}, each.what)),
      el("span", { class: "why" }, el("bdi", {}, each.why)),
      el("span", { class: "note" }, each.do)));
}

export function sums(figures, held) {
  const { total, saved } = figures;
  const cell = (name, value, small) => el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, small)));
  const reached = total.reached;
  return [
    cell("Requests", count(total.n), `${count(reached)} reached a cascade`),
    cell("Cost", reached ? money(total.cost_usd) : "–", !reached ? "no decisions" : total.unknown ? `${count(total.unknown)} of unknown cost` : `of ${count(reached)}`),
    cell("Saved", percent(saved.share, saved.n), saved.n ? `${span(saved.low, saved.high, saved.n)}, n = ${count(saved.n)}` : "nothing to compare yet"),
    cell("Escalated", reached ? percent(total.escalated / reached, reached) : "–", reached ? `${span(total.escalated_low, total.escalated_high, reached)}, n = ${count(reached)}` : "no decisions"),
    cell("Degraded", reached ? count(total.degraded) : "–", reached ? `of ${count(reached)}` : "no decisions"),
    cell("Failed", reached ? count(total.failed) : "–", reached ? `of ${count(reached)}` : "no decisions"),
    cell("In flight", count(held.in_flight), held.workers ? `${count(held.workers)} ${held.workers === 1 ? "worker" : "workers"}` : "workers unknown"),
  ];
}

export function funnel(rungs) {
  if (!rungs.length) return empty("No tier was tried", "Requests that a cache or a rule answers try none.");
  const most = Math.max(...rungs.map((each) => each.tried));
  const part = (kind, n) => {
    const bar = el("span", { class: `of-${kind}` });
    bar.style.width = `${(100 * n) / most}%`;
    return n ? bar : null;
  };
  // A tier of rules that none matches has not failed: it had nothing to say.
  const nothing = (rung) => rung.nothing ?? 0;
  const fact = (kind, name, n, tried) => el("span", {}, el("i", { class: `key of-${kind}`, "aria-hidden": "true" }), `${name} ${count(n)} (${percent(n / tried, tried)})`);
  return el("ol", { class: "rungs" }, rungs.map((rung) =>
    el("li", {},
      el("div", { class: "rung-head" }, el("b", {}, el("bdi", {}, rung.tier)), el("span", { class: "note" }, `tried ${count(rung.tried)} · ${money(rung.cost_usd)}${rung.unknown ? ` + ${count(rung.unknown)} unknown` : ""}`)),
      el("div", { class: "rung-bar", "aria-hidden": "true" }, part("accepted", rung.accepted), part("escalated", rung.escalated), part("nothing", nothing(rung)), part("failed", rung.failed)),
      el("div", { class: "facts" },
        fact("accepted", "accepted", rung.accepted, rung.tried),
        fact("escalated", "escalated", rung.escalated, rung.tried),
        nothing(rung) ? fact("nothing", "no answer", nothing(rung), rung.tried) : null,
        fact("failed", "failed", rung.failed, rung.tried),
        el("span", {}, `escalation at 95%: ${span(rung.low, rung.high, rung.tried)}`)))));
}

export function savings(saved) {
  if (!saved.n) {
    return empty("Nothing to compare yet", "A saving needs decisions whose cost is known, and the price of the last tier.");
  }
  return [
    el("p", {}, el("span", { class: "large" }, percent(saved.share, saved.n)), ` saved, ${saved.low === null ? "too few for an interval" : `95% interval ${span(saved.low, saved.high, saved.n)}`}`),
    el("p", { class: "note" }, `${money(saved.cost_usd)} spent in place of an estimated ${money(saved.baseline_usd)}, n = ${count(saved.n)}${saved.left_out ? `; ${count(saved.left_out)} left out, as a price is unknown` : ""}.`),
    el("p", { class: "note" }, "What the last tier would have cost is its price for as many tokens as the answer took. Tiers differ in how much they write: what a saving rests on is measured with ", el("code", {}, "fastcascade evaluate"), "."),
  ];
}

const shareOf = (n, all) => {
  const inner = el("i", {});
  inner.style.width = `${all ? (100 * n) / all : 0}%`;
  return [el("span", { class: "share", "aria-hidden": "true" }, inner), percent(all ? n / all : null, all)];
};

export function paths(found) {
  if (!found.length) return empty("No requests in this window", "They appear here as they are answered.");
  const all = found.reduce((sum, each) => sum + each.n, 0);
  const rows = found.map((each) => {
    const [where, ...what] = each.key.split("/");
    return [layer(where), el("bdi", {}, what.join("/") || "–"), count(each.n), shareOf(each.n, all), each.reached ? money(each.cost_usd) : "–", each.reached ? money(each.cost_usd / each.reached) : "–"];
  });
  return table("Share and cost by path", [{ name: "Layer" }, { name: "Answered by" }, { name: "n", number: true }, { name: "Share" }, { name: "Cost", number: true }, { name: "Each", number: true }], rows);
}

export function quality(graded, slices, days) {
  const drawn = [...graded, ...slices.filter((each) => each.slice)].filter((each) => each.n);
  const given = graded.reduce((sum, each) => sum + each.given, 0);
  if (!drawn.length) {
    return [
      empty("No graded samples in the last " + `${days} days`, "Without grades nobody knows how good the answers are."),
      el("p", { class: "note beneath" }, "A review desk can draw a share of answers and have people check them; the grades show here by tier and slice:"),
      el("pre", { class: "code" }, '[[fallbacks]]\nkind = "review"\nstore = "sqlite:reviews.db"\nsample = 0.02'),
      el("p", { class: "note" }, "Code that knows what is right can tell it too: ", el("code", {}, "fastcascade.telemetry.events.HUB.tell(Graded(...))"), "."),
      given ? el("p", { class: "note" }, `${count(given)} labels came unasked, such as thumbs; they say nothing of all answers, and are not averaged.`) : null,
    ];
  }
  const rows = drawn.map((each) => [
    el("bdi", {}, each.tier), each.slice ? el("bdi", {}, each.slice) : "all", percent(each.mean, each.n), span(each.low, each.high, each.n), count(each.n),
    each.promised === null ? "–" : [`${Number((100 * each.promised).toFixed(2))}%`, " ", each.high < each.promised ? badge("below", "bad") : each.low >= each.promised ? badge("kept", "accent") : badge("open")],
  ]);
  return [
    table("Quality by tier and slice", [{ name: "Tier" }, { name: "Slice" }, { name: "Mean grade", number: true }, { name: "95% interval", number: true }, { name: "n", number: true }, { name: "Promised" }], rows),
    el("p", { class: "note beneath" }, `Grades of the last ${days} days, of answers that were drawn.${given ? ` ${count(given)} labels that came unasked are not averaged.` : ""}`),
  ];
}

export function latency(layers, tiers) {
  const row = (name, each) => [name, seconds(each.p50), seconds(each.p95), seconds(each.p99), count(each.timed)];
  const rows = [...layers.filter((each) => each.timed).map((each) => row(layer(each.key), each)), ...tiers.filter((each) => each.timed).map((each) => row(["tier ", el("bdi", {}, each.tier)], each))];
  if (!rows.length) return empty("No times in this window", "They appear with the first requests.");
  return [
    table("Latency by layer and tier", [{ name: "Where" }, { name: "p50", number: true }, { name: "p95", number: true }, { name: "p99", number: true }, { name: "n", number: true }], rows),
    el("p", { class: "note beneath" }, "A layer's time is of whole requests that it answered; a tier's is of its tries, with its gate."),
  ];
}

export function slices(found, more) {
  const rows = found.map((each) => [
    each.key ? el("bdi", {}, each.key) : "(none)", count(each.reached), percent(each.reached ? each.escalated / each.reached : null, each.reached), money(each.cost_usd),
    percent(each.saved, each.compared), each.low === undefined || each.low === null ? "–" : span(each.low, each.high, each.compared), count(each.compared), seconds(each.p95),
  ]);
  if (!rows.length) return empty("No slices yet", "A slice is a request's route, or its task.");
  return [
    table("By slice", [{ name: "Slice" }, { name: "n", number: true }, { name: "Escalated", number: true }, { name: "Cost", number: true }, { name: "Saved", number: true }, { name: "95% interval", number: true }, { name: "of n", number: true }, { name: "p95", number: true }], rows),
    more ? el("p", { class: "note beneath" }, `${count(more)} smaller slices are not shown.`) : null,
  ];
}

export function health(pools, others) {
  const rows = pools.flatMap((pool) => pool.instances.map((each) => [
    el("bdi", {}, pool.pool), el("bdi", {}, each.name), each.region ? el("bdi", {}, each.region) : "–", String(each.priority),
    each.usable ? badge("usable", "accent") : badge(each.alive ? "out" : "dead", "bad"),
    each.breaker ? badge(each.breaker, each.breaker === "closed" ? "faint" : "warn") : "–",
    each.wait > 0 ? seconds(each.wait) : "–", count(each.under_way), each.seconds ? seconds(each.seconds) : "–",
    [...new Set(pool.asked_by.map((use) => `${use.tier}${use.what === "judges" ? "'s gate" : ""}${use.behind ? " (behind the ladder)" : ""}`))].join(", "),
  ]));
  const open = Object.entries(others.breakers).map(([where, n]) => `${where} (${n} of ${others.workers} workers)`);
  const shut = Object.entries(others.shut).map(([where, n]) => `${where} (${n})`);
  return [
    rows.length
      ? table("Instances of this worker", [{ name: "Pool" }, { name: "Instance" }, { name: "Region" }, { name: "Priority", number: true }, { name: "State" }, { name: "Breaker" }, { name: "Waits", number: true }, { name: "Under way", number: true }, { name: "Recent", number: true }, { name: "Asked by" }], rows)
      : empty("No pools here", "Rules and functions have no instances that could fail."),
    el("p", { class: "note beneath" }, "As this worker, the one that answered this call, sees them. ",
      others.workers ? `On the board of ${others.workers === 1 ? "its one worker" : `all ${count(others.workers)} workers`}: ${open.length ? `breakers open at ${open.join(", ")}` : "no breaker open"}; ${shut.length ? `not usable: ${shut.join(", ")}` : "every instance usable"}.` : "The board says nothing of others."),
  ];
}

export function last(rows, fresh, now) {
  if (!rows.length) return empty("No decisions yet", "Send a request, or use Try it.");
  const body = rows.map((row) => [
    el("a", { href: `/console/traces?open=${row.number}` }, `#${row.number}`), ago(row.at, now), layer(row.layer), el("bdi", {}, row.tier || row.by || "–"),
    row.tiers.length ? el("bdi", {}, row.tiers.join(" → ")) : "–", row.confidence === null ? "–" : row.confidence.toFixed(2), money(row.cost_usd), seconds(row.seconds),
    row.failure ? badge("failed", "bad") : row.degraded ? badge(row.degraded, "warn") : row.escalated ? badge("escalated", "accent") : "",
  ]);
  const made = table("Last decisions", [{ name: "Number" }, { name: "When" }, { name: "Layer" }, { name: "Answered by" }, { name: "Tried" }, { name: "Sure", number: true }, { name: "Cost", number: true }, { name: "Took", number: true }, { name: "Note" }], body);
  [...made.querySelectorAll("tbody tr")].forEach((tr, at) => tr.classList.toggle("fresh", fresh.has(rows[at].number)));
  return made;
}

/** A sentence for whoever listens instead of looking. */
export function aloud(said, name) {
  const { figures, alerts: list } = said;
  if (!figures) return "No decisions are kept.";
  const { total, saved } = figures;
  const share = total.reached ? percent(total.escalated / total.reached, total.reached) : "none";
  const found = list.length ? `${list.length} ${list.length === 1 ? "alert" : "alerts"}: ${list.map((each) => each.what).join("; ")}` : "no alerts";
  return `${name}: ${count(total.n)} requests, ${money(total.cost_usd)}, ${share} escalated, ${percent(saved.share, saved.n)} saved of ${count(saved.n)} compared; ${found}.`;
}
