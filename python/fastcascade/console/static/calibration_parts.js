// What was worked out: the suggestion with its promise, both curves, and what any threshold would come to.

import { curve } from "./chart.js";
import { announce, badge, copy, count, el, empty, money, percent, put, table } from "./shell.js";

const has = (value) => value !== null && value !== undefined;
const share = (figure) => percent(figure.value, figure.n);
const span = (figure, format = (value) => percent(value, figure.n)) => (has(figure.low) ? `${format(figure.low)} to ${format(figure.high)}` : "no interval");
const each1000 = (value) => money(value * 1000);
const exactly = (value) => `${Number((100 * value).toFixed(3))}%`; // of what was chosen, not measured
const number = (value) => String(Number(value.toPrecision(6)));

/** Something to type, with a button that copies it. */
export function line(text) {
  const button = el("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => copy(text, button));
  return el("div", { class: "code-line" }, el("pre", { class: "code" }, text), button);
}

export function known(said) {
  const { figures, apply, wanted } = said;
  return [
    suggestion(figures, apply, wanted),
    el("div", { class: "row" }, el("section", { class: "panel" }, costs(figures)), el("section", { class: "panel" }, believed(figures))),
    el("section", { class: "panel" }, el("h2", {}, "What a threshold would come to"), readOff(figures, apply, said.accept)),
    figures.ladder ? el("section", { class: "panel" }, el("h2", {}, "All tiers at once"), ladder(figures.ladder, said)) : null,
    figures.ladder_why ? el("section", { class: "panel" }, el("h2", {}, "All tiers at once"), el("p", { class: "note" }, `Not worked out: ${figures.ladder_why}.`)) : null,
    el("section", { class: "panel" }, el("h2", {}, "What this rests on"), rests(figures, said)),
  ];
}

function suggestion(figures, apply, wanted) {
  const told = figures.calibrate;
  const [cheap, dear] = [figures.tiers[0], figures.tiers.at(-1)];
  const promise = `${exactly(wanted.keep)} of the quality of ${dear} alone, with ${exactly(wanted.confidence)} confidence`;
  const holds = told.verdict === "holds";
  const more = has(told.more_cases) ? `About ${count(told.more_cases)} more cases are likely to carry it, if things are as they look.` : "No number of cases would carry it if things are as they look.";
  const best = figures.suggested;
  return el("section", { class: "panel" },
    el("h2", {}, "Suggestion"),
    holds
      ? el("div", { class: "verdict" },
          el("p", {}, el("strong", {}, `Accept ${cheap} from a score of ${number(told.threshold)} on.`), ` Promised: at least ${promise}.`),
          el("p", {}, `On these ${count(told.n)} cases: ${percent(told.coverage)} accepted, ${percent(told.quality_ratio, told.n)} of ${dear}'s quality kept (at least ${percent(told.quality_ratio_low)}), ${share(best.saved)} of its cost saved (${span(best.saved)}).`))
      : el("div", { class: "verdict not" },
          el("p", {}, el("strong", {}, "Not yet: ask the large tier."), ` These ${count(told.n)} cases cannot carry the promise of ${promise}.`),
          el("p", {}, more)),
    holds ? applying(apply) : null);
}

function applying(apply) {
  const { plain, curve: through } = apply;
  const either = plain && has(through.accept);
  return el("div", { class: "apply" },
    plain ? [el("h3", {}, `${either ? "Either: in " : "In "}${apply.file}, at the tier ${apply.tier}, its gate left as it is`), line(`accept = ${plain.accept}`)] : null,
    has(through.accept)
      ? [
          el("h3", {}, `${either ? "Or through a curve, so that scores are chances of being right" : "Through a curve, so that scores are chances of being right"}`),
          line(apply.command),
          el("p", { class: "note" }, `then in ${apply.file}, at the tier ${apply.tier}${through.given ? "" : "; GATE stands for its gate as it is now"}:`),
          line(`gate = ${through.gate}\naccept = ${through.accept}`),
        ]
      : [el("h3", {}, "The command behind these figures"), line(apply.command)],
    el("p", { class: "note" }, "Check the file, and have the gateway read it anew (SIGHUP, or a restart):"),
    apply.after.map(line));
}

function costs(figures) {
  const points = figures.points.filter((each) => has(each.cost.value));
  const made = points.map((each) => ({ x: each.cost.value, y: each.quality.value, low: each.quality.low, high: each.quality.high }));
  const { cheap, dear } = figures.ends;
  const { current, suggested } = figures;
  const marks = [];
  if (suggested) marks.push({ x: suggested.cost.value, y: suggested.quality.value, label: "suggested", tone: "accent" });
  if (!current.why) marks.push({ x: current.cost.value, y: current.quality.value, label: "now", tone: "bad" });
  if (marks.length === 2) apart(marks, points.at(-1).cost.value, points[0].cost.value);
  const all = [...made.flatMap((each) => [each.low, each.high]), cheap.quality.value, dear.quality.value, ...(current.why ? [] : [current.quality.value])].filter(Number.isFinite);
  const x = { label: "dollars for 1,000 cases", format: each1000, min: 0 };
  const y = { label: "mean grade", format: (value) => percent(value), min: Math.max(0, Math.floor(Math.min(...all) * 20) / 20), max: Math.min(1, Math.ceil(Math.max(...all) * 20) / 20) };
  const mixed = [{ x: cheap.cost.value, y: cheap.quality.value }, { x: dear.cost.value, y: dear.quality.value }];
  return [
    curve({
      title: "Quality against cost, at all thresholds", x, y, marks,
      series: [{ name: `thresholds of ${figures.calibrate.signal}, 95% band`, points: made }, { name: `mix of ${figures.tiers[0]} and ${figures.tiers.at(-1)} at random`, points: mixed, tone: "faint", dash: true }],
    }),
    el("p", { class: "note" }, current.why ? `Now: not shown, as ${current.why}.` : `Now: ${share(current.quality)} (${span(current.quality)}) at ${each1000(current.cost.value)} for 1,000 cases, ${share(current.escalated)} escalated, n = ${count(current.n)}${current.of > current.n ? ` of ${count(current.of)}` : ""}. The band is of each point alone.`),
  ];
}

/** Two marks that lie close get one label, or one would be written over the other. */
function apart(marks, low, high) {
  const [suggested, now] = marks;
  if (Math.abs(suggested.x - now.x) > 0.4 * Math.abs(high - low)) return;
  [suggested.label, now.label] = now.x < suggested.x ? ["now, then suggested", ""] : ["", "suggested, then now"];
}

function believed(figures) {
  const told = figures.calibrate;
  const series = (name, bins, more) => ({ name, points: bins.map((each) => ({ x: each.said, y: each.right, low: each.low, high: each.high })), ...more });
  const ends = { min: 0, max: 1, format: (value) => percent(value).replace(".0%", "%") };
  const error = (what) => `${told[`ece_${what}`].toFixed(3)} (${told[`ece_${what}_interval`].map((each) => each.toFixed(3)).join(" to ")})`;
  return [
    curve({
      title: "Reliability: how right it was where it said so", x: { label: `score of ${told.signal}`, ...ends }, y: { label: "how often right", ...ends }, diagonal: true,
      series: [series("as it is", figures.before, { tone: "warn", dash: true }), series("through a curve fitted to other cases", told.reliability, {})],
    }),
    el("p", { class: "note" }, `Calibration error: ${error("before")} as it is, ${error("after")} through the curve; n = ${count(told.n)}. On the dashed diagonal a score is the chance of being right.`),
  ];
}

function readOff(figures, apply, accept) {
  const points = figures.points;
  const tier = figures.tiers[0];
  const near = (value) => points.reduce((best, each, place) => (Math.abs((each.threshold ?? 1.0001) - value) < Math.abs((points[best].threshold ?? 1.0001) - value) ? place : best), 0);
  const input = el("input", { type: "range", id: "threshold", min: "0", max: String(points.length - 1), step: "1" });
  const output = el("output", { for: "threshold" });
  const told = el("div", {});
  const said = (place) => (has(points[place].threshold) ? number(points[place].threshold) : "none");
  const show = (aloud) => {
    const place = points.length - 1 - Number(input.value); // to the right is stricter, as the score goes
    const point = points[place];
    put(output, said(place));
    input.setAttribute("aria-valuetext", has(point.threshold) ? `from ${said(place)} on, ${share(point.escalated)} escalated, quality ${share(point.quality)}` : "accepts nothing");
    put(told, table("At this threshold", [{ name: "Figure" }, { name: "Value", number: true }, { name: "95% interval", number: true }, { name: "n", number: true }], [
      ["Mean grade", share(point.quality), span(point.quality), count(point.quality.n)],
      [`Of ${figures.tiers.at(-1)}'s quality`, share(point.kept), span(point.kept), count(point.kept.n)],
      ["Dollars for 1,000 cases", each1000(point.cost.value), span(point.cost, each1000), count(point.cost.n)],
      [`Saved of ${figures.tiers.at(-1)} alone`, share(point.saved), span(point.saved), count(point.saved.n)],
      ["Escalated", share(point.escalated), span(point.escalated), count(point.escalated.n)],
    ]), el("p", { class: "note beneath" }, has(point.threshold)
      ? [`Nothing is promised of a threshold that was picked by looking: the suggestion above pays for having looked at all of them.`, apply.plain ? [" To set it all the same, at the tier ", el("bdi", {}, tier), ": ", el("code", {}, `accept = ${number(point.threshold)}`)] : ""]
      : "Accepts nothing: both tiers are paid for each case. It is cheaper to take the small tier out."));
    if (aloud) announce(input.getAttribute("aria-valuetext"));
  };
  input.addEventListener("input", () => show(false));
  const places = [];
  const jump = (name, value) => {
    const button = el("button", { type: "button" }, name);
    button.addEventListener("click", () => {
      input.value = String(points.length - 1 - near(value));
      show(true);
    });
    places.push(button);
  };
  if (figures.suggested) jump(`Suggested: ${number(figures.suggested.threshold)}`, figures.suggested.threshold);
  if (apply.plain && has(accept[tier])) jump(`Now: ${number(accept[tier])}`, accept[tier]);
  input.value = String(points.length - 1 - near(figures.suggested?.threshold ?? accept[tier] ?? 0.5));
  show(false);
  return [el("div", { class: "read-off" }, el("label", { for: "threshold" }, "Accept from a score of ", el("bdi", {}, figures.calibrate.signal)), input, output), places.length ? el("div", { class: "places" }, places) : null, told];
}

function ladder(found, said) {
  const rows = found.tiers.map((each) => [
    el("bdi", {}, each.tier), each.gate ? el("bdi", {}, each.gate) : "–", each.taken_out ? badge("take it out", "warn") : has(each.threshold) ? number(each.threshold) : "what comes",
    percent(each.asked, found.n), percent(each.answered, found.n), `${percent(each.answered_interval[0], found.n)} to ${percent(each.answered_interval[1], found.n)}`, percent(each.escalated, found.n),
  ]);
  const file = said.source.file;
  const command = `fastcascade thresholds ${/^[\w./-]+$/.test(file) ? file : `'${file}'`} --keep ${said.wanted.keep} --confidence ${said.wanted.confidence}`;
  return [
    table("Thresholds of all tiers", [{ name: "Tier" }, { name: "Goes by" }, { name: "Accepts from", number: true }, { name: "Asked", number: true }, { name: "Answers", number: true }, { name: "95% interval", number: true }, { name: "Goes on", number: true }], rows),
    el("p", { class: "note beneath" }, found.verdict === "holds"
      ? `Holds: keeps ${percent(found.quality_ratio)} (at least ${percent(found.ratio_low)}), saves ${percent(found.saving)} of the last tier's cost; ${count(found.n_learning)} cases to choose by, ${count(found.n)} to judge. Thresholds are of raw scores.`
      : `Not yet: these cases cannot carry the promise for all tiers at once; ${count(found.n_learning)} to choose by, ${count(found.n)} to judge.`),
    el("div", { class: "apply" }, line(command)),
  ];
}

function rests(figures, said) {
  const left = Object.entries(figures.left_out).map(([why, n]) => `${count(n)} ${why}`);
  return [
    el("p", { class: "note" }, `${count(figures.n)} cases of ${figures.tiers.join(" and ")}${figures.besides.length ? `, beside ${figures.besides.join(", ")}` : ""}${left.length ? `; left out: ${left.join(", ")}` : ""}. Fingerprint ${figures.fingerprint}.`),
    el("p", { class: "note" }, "The promise is of the average over cases like these, not of each case, and lapses when the cases change. Whether a cascade is worth it at all, with every rule cross-validated, says:"),
    el("div", { class: "apply" }, line(`fastcascade evaluate --outcomes ${said.source.file} --keep ${said.wanted.keep}${figures.cheap ? ` --cheap ${figures.cheap}` : ""} --report report.html`)),
  ];
}

export function labels(said) {
  return said.labels.map((held) => {
    const head = el("h2", {}, "Tier ", el("bdi", {}, held.tier), held.cascade ? [" of ", el("bdi", {}, held.cascade)] : null);
    if (!held.bins) return el("section", { class: "panel" }, head, empty(`${count(held.n)} drawn labels`, `From ${held.fewest} on there is a diagram and a suggestion.`));
    const { suggestion: found } = held;
    const ends = { min: 0, max: 1, format: (value) => percent(value).replace(".0%", "%") };
    return el("section", { class: "panel" }, head,
      el("div", { class: has(found.threshold) ? "verdict" : "verdict not" },
        el("p", {}, el("strong", {}, has(found.threshold) ? `Accept from ${number(found.threshold)} on (now ${number(held.accept)}).` : "Not yet."), ` Promised: accepted answers are right in ${exactly(held.promise)}, with ${exactly(said.wanted.confidence)} confidence.`),
        el("p", {}, found.why, ".")),
      has(found.threshold) ? el("div", { class: "apply" }, line(`accept = ${number(found.threshold)}`)) : null,
      el("div", { class: "beneath" }, curve({
        title: "Reliability: how right it was where it said so", x: { label: "score", ...ends }, y: { label: "how often right", ...ends }, diagonal: true,
        series: [{ name: "labels, weighed", points: held.bins.map((each) => ({ x: each.said, y: each.right, low: each.low, high: each.high })) }],
        marks: [{ x: held.accept, label: "now", tone: "bad" }],
      })),
      el("p", { class: "note" }, `${count(held.n)} drawn labels, each weighed by how seldom its like is drawn. Labels of accepted answers say nothing of scores below the threshold that accepted them.`));
  });
}
