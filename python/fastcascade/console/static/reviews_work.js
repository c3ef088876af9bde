// One claimed review: what was asked, every attempt and why it was not trusted, and the answer.

import { badge, el, hostile, money, put, seconds } from "./shell.js";
import { due, span } from "./reviews_queue.js";

const VERDICTS = {
  accept: ["accepted", "accent"], escalate: ["not trusted", "warn"], abstain: ["no opinion", "warn"],
  failed: ["failed", "bad"], empty: ["said nothing", "warn"], cancelled: ["cancelled", "faint"], incomplete: ["incomplete", "warn"],
};

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Which signs of a text are not seen, such as those that turn it around; nothing where there are none. */
function unseen(text) {
  const found = [...new Set(text.match(UNSEEN) ?? [])].filter((sign) => !"\n\t\r\u200c\u200d".includes(sign));
  if (!found.length) return null;
  const names = found.slice(0, 8).map((sign) => `U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  return el("p", { class: "unsaid" }, badge("signs that are not seen", "warn"), ` ${names.join(" ")}${found.length > 8 ? " and more" : ""}`);
}

function words(text) {
  return [hostile(text), unseen(text)];
}

/** Blocks as text: what is no text is named, and pictures are placeholders. */
function blocks(list) {
  return list.map((block) => {
    if (block.kind === "text") return words(block.text);
    if (block.kind === "image") return el("p", { class: "placeholder" }, "Picture, not loaded: ", el("bdi", {}, [block.name, block.text].filter(Boolean).join(", ")));
    const name = [block.kind, block.name].filter(Boolean).join(" ");
    return el("div", { class: "block" }, el("p", { class: "note" }, el("bdi", {}, name)), words(block.text));
  });
}

function folded(title, ...inside) {
  return el("details", {}, el("summary", {}, title), ...inside);
}

function asked(review) {
  const roles = { user: "Caller", assistant: "Model" };
  return el("section", { "aria-labelledby": "asked-title" },
    el("h3", { id: "asked-title" }, "The request"),
    review.system.length > 0 && folded("System instructions", review.system.map(words)),
    review.messages.map((message) => el("div", { class: `turn ${message.role}` },
      el("p", { class: "note" }, roles[message.role] ?? message.role), blocks(message.blocks))),
    review.tools.length > 0 && folded(`Tools (${review.tools.length})`, review.tools.map((tool) => el("div", { class: "block" },
      el("p", {}, el("bdi", {}, tool.name)), words(tool.description), words(tool.schema)))),
    review.schema && folded("The form that the answer must have", hostile(review.schema)));
}

function figures(attempt) {
  return [
    attempt.score !== null && `score ${attempt.score.toFixed(2)}`,
    attempt.cost === null ? "cost unknown" : money(attempt.cost),
    attempt.seconds !== null && seconds(attempt.seconds),
  ].filter(Boolean).join(" · ");
}

function button(label, key, act, kind = "") {
  const node = el("button", { type: "button", class: kind || null, "aria-keyshortcuts": key || null }, label,
    key && el("kbd", { "aria-hidden": "true" }, key === "Control+Enter" ? "Ctrl Enter" : key));
  node.addEventListener("click", act);
  return node;
}

function attempt(one, at, review, acts) {
  const [word, tone] = VERDICTS[one.verdict] ?? [one.verdict, ""];
  const best = review.best && one.said && one.said.text === review.best.text;
  const id = `attempt-${at}`;
  return el("li", { class: "attempt", "aria-labelledby": id },
    el("div", { class: "line" },
      el("h4", { id }, `${at + 1}. `, el("bdi", {}, one.tier)), badge(word, tone), best && badge("best so far", "accent"),
      one.model && el("span", { class: "note" }, el("bdi", {}, one.model)), el("span", { class: "note" }, figures(one))),
    (one.reason || one.error) && el("p", { class: "why" }, el("bdi", {}, [one.reason, one.error].filter(Boolean).join("; "))),
    one.said ? blocks(one.said.blocks) : el("p", { class: "note" }, ["accept", "escalate", "abstain"].includes(one.verdict) ? "What it said was not kept with this review." : "It said nothing."),
    one.said && el("div", { class: "tools" },
      button("Pick", at < 9 ? String(at + 1) : "", () => acts.pick(at)),
      one.said.plain && button("Edit a copy", "", () => acts.edit(one.said.text))));
}

function best(review, acts) {
  if (!review.best || review.attempts.some((one) => one.said && one.said.text === review.best.text)) return null;
  return el("div", { class: "attempt" },
    el("div", { class: "line" }, el("h4", {}, "Best so far"), el("span", { class: "note" }, el("bdi", {}, review.best.model))),
    blocks(review.best.blocks),
    el("div", { class: "tools" }, button("Pick the best", "b", () => acts.pick("best"))));
}

function editor(mine, acts) {
  const { review, draft } = mine;
  const text = el("textarea", { id: "text", rows: "6", maxlength: "200000", dir: "auto", spellcheck: "true" });
  text.value = draft.text;
  text.addEventListener("input", () => acts.typed(text.value));
  const note = el("input", { id: "note", maxlength: "20000", dir: "auto", autocomplete: "off" });
  note.value = draft.note;
  note.addEventListener("input", () => { draft.note = note.value; });
  return el("section", { class: "answer", "aria-labelledby": "answer-title" },
    el("h3", { id: "answer-title" }, "Your answer"),
    el("p", { id: "picked" }),
    el("label", { for: "text" }, "In your own words ", el("kbd", { "aria-hidden": "true" }, "e")), text,
    el("label", { for: "note" }, "A note, which the caller does not see"), note,
    el("div", { class: "tools" },
      button("Send", "Control+Enter", acts.send, "primary"),
      review.why === "sampled" && button("Right", "y", () => acts.grade("best")),
      review.why === "sampled" && button("Wrong", "x", () => acts.grade("none")),
      button("Skip", "s", acts.skip), button("Release", "r", acts.release)));
}

/** Show a claimed review in `place`. */
export function draw(place, mine, acts) {
  const { review } = mine;
  put(place,
    el("div", { class: "line", id: "clocks" }),
    el("div", { id: "lost" }),
    el("p", {}, "Why it is here: ", review.reason, review.degraded && el("span", {}, " (", el("bdi", {}, review.degraded), ")"), "."),
    asked(review),
    el("section", { "aria-labelledby": "attempts-title" },
      el("h3", { id: "attempts-title" }, review.attempts.length ? `Attempts (${review.attempts.length})` : "No attempt is recorded"),
      best(review, acts),
      el("ol", { class: "attempts" }, review.attempts.map((one, at) => attempt(one, at, review, acts)))),
    editor(mine, acts));
  chose(mine);
}

/** Say what would be sent. */
export function chose(mine) {
  const { pick } = mine.draft;
  const said = pick === null ? "" : pick === "best" ? "Picked: the best so far, as it stands." : `Picked: attempt ${pick + 1}, as it stands.`;
  put(document.getElementById("picked"), said && badge(said, "accent"));
  const text = document.getElementById("text");
  if (text && text.value !== mine.draft.text) text.value = mine.draft.text;
}

/** The clocks of the one that is open: when it is due, and until when it is one's own. */
export function tick(mine, now) {
  const place = document.getElementById("clocks");
  if (!place) return;
  const left = mine.until - now;
  const lease = mine.lost ? badge("not yours any more", "bad") : badge(left > 0 ? `yours for ${span(left)}` : "your time is over", left > 30 ? "" : "warn");
  put(place, due(mine.review, now), lease, !mine.lost && el("span", { class: "note" }, "renewed while this page is open and in sight"));
}

/** Why it is not one's own any more, in words. */
export function why(lost) {
  if (lost.state === "answered") return lost.mine ? "You have answered it already, in another tab or with other words." : ["It was answered by ", el("bdi", {}, lost.reviewer), "."];
  if (lost.state === "claimed") return lost.mine ? "You have it open in another tab." : ["Your time lapsed, and ", el("bdi", {}, lost.reviewer), " has it now."];
  if (lost.state === "waiting") return "It was given back, and waits in the queue again.";
  return lost.state === "expired" ? "It has expired: nobody may answer it any more." : "It is no longer kept.";
}
