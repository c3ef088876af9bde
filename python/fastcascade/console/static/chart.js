// Charts as inline SVG, drawn to the width they have, each with a title and a table of its numbers.
//
//   bars({title, rows: [{name, value, low?, high?, tone?, note?}], format?, max?, label?})            -> figure
//   lines({title, series: [{name, points: [{x, y}], tone?, dash?, step?}], x?, y?, marks?})           -> figure
//   curve({title, series: [{name, points: [{x, y, low?, high?}], tone?, dash?, step?}], x?, y?, marks?, diagonal?}) -> figure
//   scatter({title, points: [{x, y, name, tone?, size?}], series?, x?, y?, marks?, diagonal?})        -> figure
//
// x, y: {label, format: (number) => text, min?, max?, time?}; with time, numbers are seconds, with ticks at whole hours. marks: [{x?, y?, label, tone?}]: a line across at x or at y,
// or a ring where both are given. tone: "accent" | "ink" | "faint" | "warn" | "bad". A y of null is a gap.

import { el, put } from "./shell.js";

const SVG = "http://www.w3.org/2000/svg";
const TEXT = 6.6; // how wide a letter of the axes is, about: enough to leave room for them
const TIMES = [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800]; // seconds
const plain = (value) => (Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3))));

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, String(value));
  node.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return node;
}

/** A figure whose picture is drawn anew at each width: `draw(width)` gives {height, nodes}; the table says the same. */
function figure(title, draw, columns, rows) {
  const holder = el("div", { class: "chart" });
  const paint = (width) => {
    const { height, nodes } = draw(width);
    put(holder, svg("svg", { role: "img", "aria-label": title, viewBox: `0 0 ${width} ${height}`, width, height }, svg("title", {}, title), ...nodes));
  };
  paint(640);
  let last = 640;
  new ResizeObserver(([entry]) => {
    const width = Math.max(240, Math.floor(entry.contentRect.width));
    if (Math.abs(width - last) > 2) paint((last = width));
  }).observe(holder);
  const head = el("tr", {}, columns.map((name, at) => el("th", { scope: "col", class: at ? "number" : null }, name)));
  const body = rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: at ? "number" : null }, cell))));
  const inner = el("table", {}, el("thead", {}, head), el("tbody", {}, body));
  const region = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Numbers of: ${title}` }, inner);
  return el("figure", { class: "figure" }, el("figcaption", {}, title), holder, el("details", {}, el("summary", {}, "Numbers"), region));
}

/** Bars that lie, a name before each and its value behind; low and high draw an interval. */
export function bars({ title, rows, format = plain, max, label = "Value" }) {
  const top = max ?? Math.max(0, ...rows.flatMap((row) => [row.value, row.high].filter(Number.isFinite)));
  const between = rows.some((row) => Number.isFinite(row.low));
  const draw = (width) => {
    const names = Math.min(width * 0.38, 8 + TEXT * Math.max(4, ...rows.map((row) => String(row.name).length)));
    const behind = 10 + TEXT * Math.max(4, ...rows.map((row) => said(row, format).length));
    const room = Math.max(20, width - names - behind);
    const at = (value) => (top > 0 ? (Math.max(0, Math.min(value, top)) / top) * room : 0);
    const nodes = rows.flatMap((row, index) => {
      const y = index * 26;
      const long = Number.isFinite(row.value) ? at(row.value) : 0;
      const end = Number.isFinite(row.high) ? Math.max(long, at(row.high)) : long;
      return [
        svg("text", { x: names - 8, y: y + 17, class: "axis-name", "text-anchor": "end" }, shorten(row.name, (names - 8) / TEXT)),
        svg("rect", { x: names, y: y + 6, width: room, height: 14, class: "track" }),
        svg("rect", { x: names, y: y + 6, width: long, height: 14, class: `bar ${row.tone ?? "accent"}` }),
        Number.isFinite(row.low) && Number.isFinite(row.high)
          ? svg("path", { d: `M${names + at(row.low)} ${y + 9}v8m0 -4H${names + at(row.high)}m0 -4v8`, class: "whisker" })
          : null,
        svg("text", { x: names + Math.min(room, end) + 8, y: y + 17, class: "axis" }, said(row, format)),
      ];
    });
    return { height: Math.max(26, rows.length * 26), nodes: nodes.filter(Boolean) };
  };
  const number = (value) => (Number.isFinite(value) ? format(value) : "–");
  const table = rows.map((row) => [row.name, number(row.value), ...(between ? [number(row.low), number(row.high)] : []), row.note ?? ""]);
  return figure(title, draw, ["Name", label, ...(between ? ["Low", "High"] : []), "Note"], table);
}

function said(row, format) {
  return (Number.isFinite(row.value) ? format(row.value) : "–") + (row.note ? ` · ${row.note}` : "");
}

function shorten(text, letters) {
  const whole = String(text);
  return whole.length <= letters ? whole : `${whole.slice(0, Math.max(1, Math.floor(letters) - 1))}…`;
}

/** Lines over x, such as figures over time. */
export function lines(options) {
  return plot({ ...options, points: [] });
}

/** Lines with what is known of their bounds, such as risk over coverage; `diagonal` draws where x is y. */
export function curve(options) {
  return plot({ ...options, points: [] });
}

/** Points by name, with lines through some of them where `series` is given. */
export function scatter(options) {
  return plot({ series: [], ...options });
}

function plot({ title, series = [], points = [], x = {}, y = {}, marks = [], diagonal = false }) {
  const all = [...series.flatMap((each) => each.points), ...points];
  const across = scale(x, all.map((p) => p.x).concat(marks.map((m) => m.x)), points.length > 0);
  const up = scale(y, all.flatMap((p) => [p.y, p.low, p.high]).concat(marks.map((m) => m.y)), true);
  const draw = (width) => {
    const height = Math.round(Math.max(180, Math.min(300, width * 0.42)));
    const rows = ticks(up, 5);
    const left = 10 + TEXT * Math.max(...rows.map((value) => up.format(value).length));
    const frame = { left, right: width - 14, top: up.label ? 24 : 10, bottom: height - (across.label ? 42 : 24) };
    const px = (value) => frame.left + ((value - across.min) / (across.max - across.min)) * (frame.right - frame.left);
    const py = (value) => frame.bottom - ((value - up.min) / (up.max - up.min)) * (frame.bottom - frame.top);
    const nodes = [...axes(across, up, rows, frame, px, py)];
    if (diagonal) nodes.push(slanted(across, up, px, py));
    for (const each of series) nodes.push(...drawn(each, px, py));
    for (const point of points) if (Number.isFinite(point.x) && Number.isFinite(point.y)) nodes.push(...dot(point, px, py, frame));
    for (const mark of marks) nodes.push(...marked(mark, px, py, frame));
    return { height, nodes };
  };
  const whole = figure(title, draw, ["Series", x.label ?? "x", y.label ?? "y", "Low", "High"], numbers(series, points, across, up));
  if (series.length > 1) whole.querySelector("figcaption").append(legend(series));
  return whole;
}

/** From where to where an axis goes; `round` ends it at ticks, where it is not told where to end. */
function scale(axis, values, round) {
  const known = values.filter(Number.isFinite);
  let min = axis.min ?? Math.min(...(known.length ? known : [0]));
  let max = axis.max ?? Math.max(...(known.length ? known : [1]));
  if (!(max > min)) [min, max] = axis.min === undefined && max > 0 ? [0, max * 2] : [min, min + 1];
  if (round) {
    const step = stepOf(min, max, 5);
    if (axis.min === undefined) min = Math.floor(min / step + 1e-9) * step;
    if (axis.max === undefined) max = Math.ceil(max / step - 1e-9) * step;
  }
  return { min, max, format: axis.format ?? plain, label: axis.label, time: axis.time };
}

function stepOf(min, max, about) {
  const rough = (max - min) / about;
  const ten = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((n) => n * ten).find((each) => each >= rough * 0.999);
}

function ticks({ min, max, time }, about) {
  const step = time ? TIMES.find((each) => each >= (max - min) / about) ?? stepOf(min, max, about) : stepOf(min, max, about);
  const found = [];
  for (let n = Math.ceil(min / step - 1e-9); n * step <= max + step * 1e-9; n += 1) found.push(Number((n * step).toPrecision(12)));
  return found;
}

function axes(across, up, rows, frame, px, py) {
  const widest = Math.max(...ticks(across, 6).map((value) => across.format(value).length));
  const about = Math.max(2, Math.min(6, Math.floor((frame.right - frame.left) / (TEXT * widest + 18))));
  const nodes = rows.flatMap((value) => [
    svg("line", { x1: frame.left, x2: frame.right, y1: py(value), y2: py(value), class: "grid" }),
    svg("text", { x: frame.left - 6, y: py(value) + 4, class: "axis", "text-anchor": "end" }, up.format(value)),
  ]);
  for (const value of ticks(across, about)) {
    const near = px(value) > frame.right - TEXT * 3 ? "end" : "middle";
    nodes.push(svg("text", { x: near === "end" ? Math.min(px(value) + 8, frame.right + 12) : px(value), y: frame.bottom + 16, class: "axis", "text-anchor": near }, across.format(value)));
  }
  if (across.label) nodes.push(svg("text", { x: (frame.left + frame.right) / 2, y: frame.bottom + 36, class: "axis-name", "text-anchor": "middle" }, across.label));
  if (up.label) nodes.push(svg("text", { x: 0, y: 12, class: "axis-name" }, up.label));
  return nodes;
}

function slanted(across, up, px, py) {
  const from = Math.max(across.min, up.min);
  const to = Math.min(across.max, up.max);
  return svg("line", { x1: px(from), y1: py(from), x2: px(to), y2: py(to), class: "line faint dashed" });
}

function drawn(series, px, py) {
  const tone = series.tone ?? "accent";
  const nodes = [];
  for (const run of runs(series.points)) {
    const bounded = run.filter((p) => Number.isFinite(p.low) && Number.isFinite(p.high));
    if (bounded.length > 1) {
      const there = bounded.map((p) => `${px(p.x)} ${py(p.high)}`);
      const back = bounded.toReversed().map((p) => `${px(p.x)} ${py(p.low)}`);
      nodes.push(svg("path", { d: `M${[...there, ...back].join("L")}Z`, class: `band ${tone}` }));
    }
    const path = run.map((p, at) => (at === 0 ? `M${px(p.x)} ${py(p.y)}` : series.step ? `H${px(p.x)}V${py(p.y)}` : `L${px(p.x)} ${py(p.y)}`));
    nodes.push(svg("path", { d: path.join(""), class: `line ${tone}${series.dash ? " dashed" : ""}` }));
    if (run.length === 1) nodes.push(svg("circle", { cx: px(run[0].x), cy: py(run[0].y), r: 2.5, class: `point ${tone}` }));
  }
  return nodes;
}

/** The points between gaps. */
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (Number.isFinite(point.x) && Number.isFinite(point.y)) found.at(-1).push(point);
    else if (found.at(-1).length) found.push([]);
  }
  return found.filter((run) => run.length);
}

function dot(point, px, py, frame) {
  const nodes = [svg("circle", { cx: px(point.x), cy: py(point.y), r: point.size ?? 4, class: `point ${point.tone ?? "accent"}` }, svg("title", {}, point.name ?? ""))];
  if (point.name) {
    const left = px(point.x) > (frame.left + frame.right) / 2;
    nodes.push(svg("text", { x: px(point.x) + (left ? -8 : 8), y: py(point.y) - 6, class: "axis", "text-anchor": left ? "end" : "start" }, shorten(point.name, 22)));
  }
  return nodes;
}

function marked(mark, px, py, frame) {
  const tone = mark.tone ?? "warn";
  const whole = Number.isFinite(mark.x) && Number.isFinite(mark.y);
  if (whole) {
    const left = px(mark.x) > (frame.left + frame.right) / 2;
    return [
      svg("circle", { cx: px(mark.x), cy: py(mark.y), r: 6, class: `ring ${tone}` }),
      svg("text", { x: px(mark.x) + (left ? -11 : 11), y: py(mark.y) - 9, class: "axis-name", "text-anchor": left ? "end" : "start" }, mark.label ?? ""),
    ];
  }
  if (Number.isFinite(mark.y)) {
    return [
      svg("line", { x1: frame.left, x2: frame.right, y1: py(mark.y), y2: py(mark.y), class: `line ${tone} dashed` }),
      svg("text", { x: frame.right, y: py(mark.y) - 5, class: "axis-name", "text-anchor": "end" }, mark.label ?? ""),
    ];
  }
  const left = px(mark.x) > (frame.left + frame.right) / 2;
  return [
    svg("line", { x1: px(mark.x), x2: px(mark.x), y1: frame.top, y2: frame.bottom, class: `line ${tone} dashed` }),
    svg("text", { x: px(mark.x) + (left ? -6 : 6), y: frame.top + 10, class: "axis-name", "text-anchor": left ? "end" : "start" }, mark.label ?? ""),
  ];
}

function legend(series) {
  const item = (each) => {
    const key = svg("svg", { width: 18, height: 8, "aria-hidden": "true" }, svg("line", { x1: 0, x2: 18, y1: 4, y2: 4, class: `line ${each.tone ?? "accent"}${each.dash ? " dashed" : ""}` }));
    return el("span", {}, key, each.name);
  };
  return el("span", { class: "legend" }, series.map(item));
}

function numbers(series, points, across, up) {
  const cell = (value, format) => (Number.isFinite(value) ? format(value) : "–");
  const row = (name, p) => [name, cell(p.x, across.format), cell(p.y, up.format), cell(p.low, up.format), cell(p.high, up.format)];
  return [...series.flatMap((each) => each.points.map((p) => row(each.name, p))), ...points.map((p) => row(p.name ?? "", p))];
}
