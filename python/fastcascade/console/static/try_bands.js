// The six layers as bands, and the token that goes down them: lit where the request was, dim where it was not needed.

import { badge, el, money, put, seconds, still } from "./shell.js";

const LAYERS = [
  ["L0", "entry", "path in one form; who can be asked"],
  ["L1", "cache", "an answer that is kept"],
  ["L2", "match", "exact, prefix, regex, wildcard"],
  ["L3", "guard", "keys and limits"],
  ["L4", "models", "rules, small, large, each with its gate"],
  ["L5", "fallback", "retry, region, stale, person, static"],
];
const WORDS = { passed: "passed", answered: "answered", refused: "refused", skipped: "not needed" };
const TONES = { passed: "", answered: "accent", refused: "bad", skipped: "faint" };
const STEP = 240; // milliseconds from one layer to the next

export class Bands {
  constructor(holder) {
    this.holder = holder;
    this.token = el("div", { class: "token", "aria-hidden": "true", hidden: true });
    this.layers = new Map(LAYERS.map(([layer, name, what]) => [layer, band(layer, name, what)]));
    this.rows = [this.token, el("ol", { class: "layers", "aria-label": "Layers" }, [...this.layers.values()].map((each) => each.row))];
  }

  /** A request is on its way: nothing is known of the layers yet. */
  begin() {
    for (const each of this.layers.values()) {
      each.row.className = "band";
      put(each.detail, each.what);
      put(each.state);
      put(each.time);
      put(each.usd);
    }
    this.token.hidden = false;
    this.token.className = "token waiting";
    this.move("L0", 0);
  }

  /** Nothing came of it. */
  stop() {
    this.token.hidden = true;
  }

  /** Go down what the steps say, and light them one after another. */
  async travel(told, sum) {
    const asked = told.steps.filter((step) => step.outcome !== "skipped");
    const total = { seconds: 0, usd: 0 };
    this.token.className = "token";
    for (const step of asked) {
      await this.move(step.layer, STEP);
      light(this.layers.get(step.layer), step);
      total.seconds += step.seconds;
      total.usd = step.usd === null || total.usd === null ? null : total.usd + step.usd;
      put(sum, `${seconds(total.seconds)} · ${money(total.usd)}`);
    }
    for (const step of told.steps) if (step.outcome === "skipped") dim(this.layers.get(step.layer), step);
    const last = told.steps.find((step) => step.outcome === "refused") ? "bad" : "done";
    this.token.className = `token ${last}`;
    await this.move(told.answer.layer, STEP);
  }

  async move(layer, milliseconds) {
    const row = this.layers.get(layer).row;
    const list = this.holder.getBoundingClientRect();
    const band = row.getBoundingClientRect();
    const to = `translateY(${Math.round(band.top - list.top + 13)}px)`;
    const from = this.token.style.transform || to;
    this.token.style.transform = to;
    if (milliseconds && !still() && this.token.animate) {
      await this.token.animate([{ transform: from }, { transform: to }], { duration: milliseconds, easing: "ease-in-out" }).finished.catch(() => {});
    }
  }
}

function band(layer, name, what) {
  const detail = el("div", { class: "detail" }, what);
  const state = el("span", { class: "state" });
  const time = el("span", { class: "time" });
  const usd = el("span", { class: "usd" });
  const row = el("li", { class: "band", "data-layer": layer },
    el("span", { class: "layer" }, el("b", {}, layer), " ", el("span", {}, name)), detail, state, el("span", { class: "figures" }, time, usd));
  return { row, detail, state, time, usd, what };
}

function light(band, step) {
  band.row.className = `band lit ${step.outcome}`;
  put(band.state, badge(WORDS[step.outcome], TONES[step.outcome]));
  put(band.detail, step.detail.map((line) => el("div", {}, el("bdi", {}, line))));
  put(band.time, el("span", { class: "unseen" }, "took "), seconds(step.seconds));
  put(band.usd, el("span", { class: "unseen" }, " and cost "), money(step.usd));
}

function dim(band, step) {
  band.row.className = "band dim";
  const would = step.would;
  put(band.state, badge(WORDS.skipped, "faint"));
  put(band.detail, step.detail.map((line) => el("div", {}, el("bdi", {}, line))),
    would ? el("div", {}, `would take: ${would.how}`) : step.detail.length ? null : el("div", {}, `${band.what}; nothing measured yet`));
  put(band.time, would && el("span", { class: "unseen" }, "would take "), would && seconds(would.seconds));
  put(band.usd, would && el("span", { class: "unseen" }, " and cost "), would && money(would.usd));
}
