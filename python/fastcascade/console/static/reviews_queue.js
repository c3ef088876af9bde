// The queue: one row for each review, kept in place from one look to the next, so that the focus stays where it is.

import { badge, count, el, put } from "./shell.js";

const REASONS = { failed: "failed", unsure: "unsure", sampled: "sampled", asked: "asked for" };
const list = document.getElementById("rows");
const rows = new Map(); // by ticket: {item, button, said}

/** How a review stands to its due time: a word, a tone, and what is left. */
export function clock(review, now) {
  if (review.due === null) return { word: "no limit", tone: "faint", left: Infinity };
  const left = review.due - now;
  if (left < 0) return { word: "overdue", tone: "bad", left };
  const soon = left < Math.max(60, 0.25 * (review.due - review.created));
  return { word: soon ? "due soon" : "on time", tone: soon ? "warn" : "accent", left };
}

/** The badge of that: "overdue by 3 min", "due soon: 4 min left". */
export function due(review, now) {
  const { word, tone, left } = clock(review, now);
  if (left === Infinity) return badge(word, tone);
  return badge(left < 0 ? `overdue by ${span(-left)}` : `${word}: ${span(left)} left`, tone);
}

/** A length of time in one unit. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 90) return `${Math.floor(s)} s`;
  if (s < 5400) return `${Math.floor(s / 60)} min`;
  return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}

/** Those that the filters let through, in the order that was chosen; what one has oneself is always there. */
export function chosen(reviews, { order, why, slice, desk }, now) {
  const fits = (review) =>
    (!why || review.why === why) && (!slice || review.slice === slice) && (!desk || review.desk === desk);
  const key = order === "age" ? (review) => review.created : (review) => review.due ?? Infinity;
  const shown = reviews.filter((review) => review.mine || fits(review));
  return shown.sort((a, b) => (key(a) === key(b) ? a.created - b.created : key(a) - key(b)) || (a.ticket < b.ticket ? -1 : 1));
}

/** Who has it, in words. */
function holder(review, now) {
  if (review.sending) return badge("your answer goes out", "accent");
  if (review.state !== "claimed") return null;
  if (review.mine) return badge("yours", "accent");
  const left = review.until - now;
  return el("span", { class: "holder" }, "with ", el("bdi", {}, review.reviewer), left > 0 ? `, ${span(left)} left` : ", lapsed");
}

function face(review, now, several) {
  return [
    el("span", { class: "line" }, due(review, now), badge(REASONS[review.why] ?? review.why), holder(review, now)),
    el("span", { class: "asked" }, el("bdi", {}, review.asked)),
    el("span", { class: "line note" },
      `${span(now - review.created)} old`,
      review.slice && el("span", {}, "slice ", el("bdi", {}, review.slice)),
      several && el("span", {}, "desk ", el("bdi", {}, review.desk)),
      review.claims > 1 && `claimed ${count(review.claims)} times`),
  ];
}

/** Show these rows. `open` is what a press of one does; `current` the ticket that is open. */
export function draw(reviews, { now, open, current, several }) {
  const here = new Set(reviews.map((review) => review.ticket));
  for (const [ticket, row] of rows) {
    if (here.has(ticket)) continue;
    if (row.item.contains(document.activeElement)) document.getElementById("queue-title").focus();
    row.item.remove();
    rows.delete(ticket);
  }
  const focused = document.activeElement;
  reviews.forEach((review, at) => {
    const row = rows.get(review.ticket) ?? made(review.ticket, open);
    const parts = face(review, now, several);
    const said = parts.map((part) => part.textContent).join("\n");
    if (row.said !== said) put(row.button, parts);
    row.said = said;
    row.review = review;
    row.button.classList.toggle("mine", review.mine);
    if (review.ticket === current) row.button.setAttribute("aria-current", "true");
    else row.button.removeAttribute("aria-current");
    if (list.children[at] !== row.item) list.insertBefore(row.item, list.children[at] ?? null);
  });
  if (focused && focused !== document.activeElement && list.contains(focused)) focused.focus();
}

function made(ticket, open) {
  const button = el("button", { type: "button", class: "review" });
  const row = { item: el("li", {}, button), button, said: "", review: null };
  button.addEventListener("click", () => open(row.review));
  rows.set(ticket, row);
  return row;
}

/** Move the focus by one row; from elsewhere to the first. */
export function step(by) {
  const buttons = [...list.querySelectorAll("button.review")];
  if (!buttons.length) return;
  const at = buttons.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : buttons.length - 1) : Math.min(buttons.length - 1, Math.max(0, at + by));
  buttons[next].focus();
}

/** The review whose row has the focus, if one has. */
export function focused() {
  for (const row of rows.values()) if (row.button === document.activeElement) return row.review;
  return null;
}
