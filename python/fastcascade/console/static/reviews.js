// The review desk: polls the queue, claims, renews, answers, and undoes. What is on the page of one's own is in `mine`.

import { announce, call, el, empty, put, unsent, wrong } from "./shell.js";
import { listen } from "./reviews_keys.js";
import * as queue from "./reviews_queue.js";
import * as work from "./reviews_work.js";

const API = "/console/api/reviews";
const at = (id) => document.getElementById(id);
const mine = new Map(); // by ticket: {review, desk, ticket, lease, until, draft, held, lost, body}
let seen = { reviews: [], desks: [], hold: 10 };
let apart = 0; // how far the server's clock is ahead of this one, in seconds
let current = ""; // the ticket that is open
let skipped = new Set();
let claiming = false;
let line = Promise.resolve();

const now = () => Date.now() / 1000 + apart;
const filters = () => ({ order: at("order").value, why: at("why").value, slice: at("slice").value, desk: at("desk").value });
const visible = () => document.visibilityState === "visible";
const open = () => mine.get(current);

// What the page shows.

function drawQueue() {
  const reviews = queue.chosen(seen.reviews, filters(), now());
  queue.draw(reviews, { now: now(), open: openOrClaim, current, several: seen.desks.length > 1 });
  const total = (name) => seen.desks.reduce((sum, desk) => sum + (desk.counts[name] ?? 0), 0);
  const overdue = seen.reviews.filter((review) => queue.clock(review, now()).left < 0).length;
  put(at("sums"), `${total("waiting")} waiting, ${overdue} overdue, ${total("claimed")} claimed, ${total("answered")} answered`,
    total("waiting") + total("claimed") > seen.reviews.length && `; the ${seen.reviews.length} oldest are shown`);
  put(at("none"), reviews.length ? null : seen.desks.length
    ? empty("Nothing waits", "What no tier can answer well enough comes here by itself.")
    : empty("No review desk", "None of the cascades that are served has a review among its fallbacks."));
  const away = seen.desks.filter((desk) => desk.away).map((desk) => desk.name);
  if (away.length) trouble(`The store of reviews of ${away.join(", ")} cannot be reached. Nothing is lost; this page goes on trying.`);
  else if (at("problem").dataset.kind === "away") calm();
  document.title = `${total("waiting") ? `(${total("waiting")}) ` : ""}Reviews · fastcascade`;
}

function options(id, names, all) {
  const select = at(id);
  const before = select.value;
  const said = ["", ...names];
  if ([...select.options].map((option) => option.value).join("\n") === said.join("\n") && select.options.length) return;
  put(select, said.map((name) => el("option", { value: name }, name || all)));
  select.value = said.includes(before) ? before : "";
}

function drawFilters() {
  const all = (name) => [...new Set(seen.reviews.map((review) => review[name]).filter(Boolean))].sort();
  options("why", ["failed", "unsure", "sampled", "asked"], "all");
  options("slice", all("slice"), "all");
  options("desk", seen.desks.map((desk) => desk.name), "all");
  at("desk-choice").hidden = seen.desks.length < 2;
}

function drawWork(text = "No review is open") {
  const one = open();
  put(at("work-title"), one ? `Review: ${one.review.reason}` : text);
  if (!one) put(at("work"), el("p", { class: "note" }, "Claim the next one, or choose one from the queue."));
  else {
    work.draw(at("work"), one, { pick, edit, typed, send, grade, skip, release });
    tell(one);
    work.tick(one, now());
  }
}

function tell(one) {
  if (one !== open()) return;
  const again = one.lost && (one.lost.state === "waiting" || (one.lost.state === "claimed" && one.lost.mine));
  put(at("lost"), one.lost && el("p", { class: "wrong", role: "alert" },
    work.why(one.lost), " Your text is kept here, and was not sent."), again && pressed("Take it over here", "", () => claim(one)));
}

function drawOutbox() {
  const held = [...mine.values()].filter((one) => one.held);
  const shown = at("outbox");
  if (shown.dataset.of !== held.map((one) => one.ticket).join(" ")) {
    put(shown, held.map((one) => el("div", { class: "held" },
      el("span", {}, el("span", { "data-of": one.ticket }), " ", el("bdi", { class: "note" }, one.review.asked)),
      pressed("Undo", "u", () => undo(one)), pressed("Send now", "", () => flush(one)))));
    shown.dataset.of = held.map((one) => one.ticket).join(" ");
  }
  for (const one of held) {
    const left = Math.ceil(one.held - now());
    const place = [...shown.querySelectorAll("[data-of]")].find((node) => node.dataset.of === one.ticket);
    if (place) put(place, left > 0 ? `Your answer goes out in ${left} s.` : "Your answer is being sent.");
  }
}

function pressed(label, key, act) {
  const node = el("button", { type: "button", "aria-keyshortcuts": key || null }, label, key && el("kbd", { "aria-hidden": "true" }, key));
  node.addEventListener("click", act);
  return node;
}

function trouble(error) {
  at("problem").dataset.kind = typeof error === "string" ? "away" : "call";
  const text = typeof error === "string" ? error : error.message;
  if (at("problem").textContent !== text) put(at("problem"), wrong(text));
}

function calm() {
  delete at("problem").dataset.kind;
  put(at("problem"));
}

// Calls: one after another, in the order of the keys. Each looks again whether it is still to be done.

function inTurn(act) {
  line = line.then(async () => {
    try {
      const came = await act();
      calm();
      return came;
    } catch (error) {
      trouble(error);
      return undefined;
    }
  });
  return line;
}

const right = (one, more = {}) => ({ desk: one.desk, ticket: one.ticket, lease: one.lease, ...more });

function hold(said) {
  apart = said.now - Date.now() / 1000;
  const before = mine.get(said.review.ticket);
  const one = before ?? { draft: { text: "", note: "", pick: null } };
  Object.assign(one, { review: said.review, desk: said.review.desk, ticket: said.review.ticket, lease: said.lease, until: said.until });
  Object.assign(one, { held: 0, lost: null, renewed: now() });
  mine.set(one.ticket, one);
  return one;
}

function show(one, focus = "work-title") {
  current = one?.ticket ?? "";
  drawWork();
  drawQueue();
  at(focus)?.focus();
}

async function claim(review) {
  if (claiming) return;
  claiming = true;
  await inTurn(() => claimed(review));
  claiming = false;
}

async function claimed(review) {
  const first = review ?? queue.chosen(seen.reviews, filters(), now()).find((one) => one.state === "waiting" && !skipped.has(one.ticket));
  const narrow = filters().why || filters().slice || filters().order === "age" || skipped.size || review;
  const desk = (review ?? first)?.desk ?? (filters().desk || seen.desks[0]?.name);
  if (!desk) return announce("Nothing waits");
  const said = await call("POST", `${API}/claim`, { desk, ticket: narrow && first ? first.ticket : "" });
  if (said.review) {
    show(hold(said));
    announce(`Claimed: ${said.review.reason}`);
  } else {
    announce(said.lost ? "Somebody else was quicker" : "Nothing waits");
  }
  return look();
}

function openOrClaim(review) {
  const one = mine.get(review.ticket);
  if (one && !one.held && !(one.lost && (review.mine || review.state === "waiting"))) return show(one);
  if (one?.held) return undo(one);
  if (review.sending) return undo({ desk: review.desk, ticket: review.ticket, lease: "" });
  if (review.state === "claimed" && !review.mine && review.until > now()) {
    announce(`${review.reviewer} has it`);
    return undefined;
  }
  return claim(review);
}

function typed(text) {
  const one = open();
  one.draft.text = text;
  if (one.draft.pick !== null) {
    one.draft.pick = null;
    work.chose(one);
  }
}

function edit(text) {
  const one = open();
  if (!one) return;
  const chosen = one.draft.pick === "best" ? one.review.best : one.review.attempts[one.draft.pick]?.said;
  if (typeof text === "string") one.draft.text = text;
  else if (chosen?.plain) one.draft.text = chosen.text;
  if (typeof text === "string" || chosen?.plain) one.draft.pick = null;
  work.chose(one);
  at("text").focus();
  announce("Editing; Escape leaves the text");
}

function pick(which) {
  const one = open();
  if (!one) return;
  const said = which === "best" ? one.review.best : one.review.attempts[which]?.said;
  if (!said) return announce("There is nothing to pick there");
  one.draft.pick = which;
  work.chose(one);
  announce(which === "best" ? "Picked the best so far" : `Picked attempt ${which + 1}`);
}

function send() {
  const one = open();
  if (!one || one.held) return undefined;
  const { pick: which, text, note } = one.draft;
  if (which === null && !text.trim()) {
    at("text").focus();
    return announce("Write an answer, or pick one");
  }
  return answer(one, which === null ? { text, note } : { pick: which, note });
}

function grade(which) {
  const one = open();
  if (one?.review.why === "sampled") answer(one, { pick: which, note: one.draft.note });
}

async function answer(one, body) {
  await inTurn(async () => {
    if (one.held || mine.get(one.ticket) !== one) return undefined;
    const said = await call("POST", `${API}/answer`, right(one, body));
    if (!said.held) return lose(one, said.lost);
    apart = said.now - Date.now() / 1000;
    Object.assign(one, { held: said.until, body, until: Math.max(one.until, said.until) });
    const word = body.pick === "none" ? "Graded as wrong" : body.pick === "best" && one.review.why === "sampled" ? "Graded as right" : "Answered";
    current = "";
    drawOutbox();
    drawQueue();
    drawWork(`${word}; it goes out in ${Math.round(said.until - said.now)} s`);
    at("work-title").focus();
    announce(`${word}. It goes out in ${Math.round(said.until - said.now)} seconds; u undoes it`);
    return look();
  });
}

async function undo(given) {
  const one = given ?? [...mine.values()].filter((each) => each.held).sort((a, b) => b.held - a.held)[0];
  if (!one) return announce("There is nothing to undo");
  return inTurn(async () => {
    if (mine.get(one.ticket) === one && !one.held) return undefined;
    const said = await call("POST", `${API}/undo`, { desk: one.desk, ticket: one.ticket });
    if (said.undone) {
      show(hold(said), "text");
      announce("Undone; your answer is in the editor again");
    } else if (said.lost.state === "answered" && said.lost.mine) {
      gone(one);
      announce("It was sent already");
    } else lose(one, said.lost);
    drawOutbox();
    return look();
  });
}

/** The time is over, or one does not want to wait for it: send it. Safe to repeat, and to do in two places. */
async function flush(one) {
  if (one.sending || !one.held) return;
  one.sending = true;
  const lease = one.lease;
  try {
    const said = await call("POST", `${API}/send`, right(one, one.body));
    if (one.lease !== lease) return; // undone in the meantime
    if (said.came === "done" || said.came === "again") {
      gone(one);
      announce("Answer sent");
      await look();
    } else lose(one, said.lost);
  } catch (error) {
    one.held = now() + 2; // again, soon
    trouble(error);
  } finally {
    one.sending = false;
    drawOutbox();
  }
}

function gone(one) {
  const focused = at("outbox").contains(document.activeElement);
  mine.delete(one.ticket);
  drawOutbox();
  if (!current) drawWork("Answer sent");
  if (focused) at("work-title").focus();
}

function lose(one, lost) {
  Object.assign(one, { held: 0, lost });
  drawOutbox();
  if (!current) show(one);
  tell(one);
  work.tick(one, now());
  if (one !== open()) announce("An answer was not sent: the review is not yours any more. It is kept in the queue's list");
}

async function release() {
  const one = open();
  if (!one) return false;
  return inTurn(async () => {
    if (open() !== one) return false;
    if (!one.lost) await call("POST", `${API}/release`, right(one));
    mine.delete(one.ticket);
    current = "";
    drawWork();
    at("next").focus();
    announce("Given back");
    look();
    return true;
  });
}

async function skip() {
  const one = open();
  if (!one) return;
  skipped.add(one.ticket);
  if (await release()) await claim();
}

// What goes on by itself.

async function look() {
  try {
    const said = await call("GET", API);
    const none = !seen.reviews.some((review) => review.state === "waiting");
    seen = said;
    apart = said.now - Date.now() / 1000;
    const waiting = seen.reviews.filter((review) => review.state === "waiting");
    if (skipped.size && !waiting.some((review) => !skipped.has(review.ticket))) skipped = new Set();
    if (none && waiting.length && at("rows").childElementCount) announce(`${waiting.length} waiting`);
    drawFilters();
    drawQueue();
  } catch (error) {
    trouble(error);
  }
}

async function renew() {
  for (const one of [...mine.values()]) {
    const desk = seen.desks.find((each) => each.name === one.desk);
    const every = Math.min(60, Math.max(1, (desk?.lease ?? 60) / 3));
    if (one.lost || one.held || now() - one.renewed < every) continue;
    one.renewed = now();
    const lease = one.lease;
    try {
      const said = await call("POST", `${API}/renew`, right(one));
      if (one.lease !== lease || one.held) continue;
      if (said.held) one.until = said.until;
      else lose(one, said.lost);
    } catch (error) {
      trouble(error);
    }
  }
}

async function beat() {
  if (visible()) {
    await look();
    await renew();
  }
  setTimeout(beat, 2000);
}

function second() {
  for (const one of mine.values()) if (one.held && one.held + 0.3 <= now()) flush(one);
  drawOutbox();
  if (open()) work.tick(open(), now());
}

function claimKey() {
  const review = queue.focused();
  return review ? openOrClaim(review) : claim();
}

listen({
  j: () => queue.step(1), k: () => queue.step(-1), c: claimKey, e: () => edit(), u: () => undo(), r: release, s: skip,
  b: () => pick("best"), y: () => grade("best"), x: () => grade("none"),
  number: (n) => pick(n - 1), send, escape: () => at("work-title").focus(),
});

at("next").addEventListener("click", () => claim());
for (const id of ["order", "why", "slice", "desk"]) at(id).addEventListener("change", drawQueue);
document.addEventListener("visibilitychange", () => { if (visible()) look().then(renew); });
unsent.add(() => [...mine.values()].some((one) => one.held || one.draft.text.trim() || one.draft.note.trim()));
addEventListener("beforeunload", (event) => {
  if ([...mine.values()].some((one) => !one.held && one.draft.text.trim())) event.preventDefault();
});

drawWork();
beat();
setInterval(second, 500);
