// What every page of the console stands on: asking the server, making elements, saying figures, the top bar.
//
// A page is static/NAME.html (what goes inside <main>, an <h1> first), static/NAME.js (an ES module that imports
// from "./shell.js" and "./chart.js") and static/NAME.css. Whatever comes from a model, a person or the store goes
// in as a text node: there is no way here to put markup in.

const page = document.body.dataset.page;

/** Ask the console's API: the JSON of the response; an error has `.status` and `.message`. 401 leads to the login. */
export async function call(method, path, body) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET") headers["x-csrf-token"] = (await me)?.csrf ?? "";
  return ask(method, path, headers, body);
}

async function ask(method, path, headers, body) {
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw failure(0, "the gateway did not answer; is it still running?");
  }
  if (response.status === 401 && page !== "login") {
    await ended();
    return call(method, path, body); // it was refused, so nothing was done yet
  }
  let said = null;
  try {
    said = await response.json();
  } catch {
    if (response.ok && response.status !== 204) throw failure(response.status, "the gateway's answer is not JSON");
  }
  if (!response.ok) throw failure(response.status, said?.error ?? `the gateway answered ${response.status}`);
  return said;
}

/** Whether there is something on the page that nobody has yet: each says so of its part; texts being written count. */
export const unsent = new Set([() => [...document.querySelectorAll("#main textarea")].some((each) => each.value.trim())]);

/** The session is over: to the login, but not away from what was typed. Comes back once one is signed in again. */
async function ended() {
  if (![...unsent].some((has) => has())) {
    location.assign(`/console/login?next=${page}`);
    return new Promise(() => {}); // the page is on its way out: whoever waits is not told a failure
  }
  const { again } = await import("./shell_session.js");
  me = Promise.resolve(await again(page, name));
  return undefined;
}

function failure(status, message) {
  const error = new Error(message);
  error.status = status;
  return error;
}

/** Who is signed in: {name, role, csrf, cascades, version}; null on the login page. */
let name = "";
export let me = page === "login" ? Promise.resolve(null) : ask("GET", "/console/api/me", { accept: "application/json" });

/** An element: attributes by setAttribute (true is the bare attribute; false, null and undefined leave it out),
 *  children as text or nodes. Handlers are added by addEventListener, styles by a class or `node.style`. */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (/^on|^style$|^srcdoc$/i.test(name)) throw new Error(`el() refuses the attribute ${name}`);
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  put(node, ...children);
  return node;
}

/** Put these in place of what the node holds: text and nodes, lists of them; null and false are left out. */
export function put(node, ...children) {
  node.replaceChildren(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))),
  );
  return node;
}

/** What a model or a caller wrote, on its own line and in its own direction, as text: never as markup. */
export function hostile(text, tag = "pre", label = "Text") {
  const node = el(tag, { class: "hostile", "data-label": label }, el("bdi", {}, text ?? ""));
  tall.observe(node);
  return node;
}

/** What is taller than its place scrolls, and then has to be reached by keyboard. */
const tall = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const over = target.scrollHeight > target.clientHeight + 1;
    for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", target.dataset.label]]) {
      if (over) target.setAttribute(name, value);
      else target.removeAttribute(name);
    }
  }
});

/** A word in a small frame. `tone`: "" | "accent" | "warn" | "bad" | "faint". */
export function badge(text, tone = "") {
  return el("span", { class: `badge ${tone}`.trim() }, text);
}

/** A table in a region of its own that scrolls sideways and can be reached by keyboard.
 *  columns: [{name, number?: bool, wide?: bool, hidden?: bool}], rows: lists of text or nodes, as many as the columns. */
export function table(label, columns, rows) {
  const kind = (column) => [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || null;
  const head = columns.map((column) =>
    el("th", { scope: "col", class: kind(column) }, column.hidden ? el("span", { class: "unseen" }, column.name) : column.name));
  const body = rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: kind(columns[at]) }, cell))));
  const inner = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, inner);
}

/** What stands where there is nothing to show: what is missing, and what brings it. */
export function empty(title, text) {
  return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), text && el("p", {}, text));
}

/** What stands where a call failed; it is read aloud. */
export function wrong(error) {
  return el("p", { class: "wrong", role: "alert" }, error?.message ?? String(error));
}

/** US dollars, to the precision that the amount needs; an unknown one is said to be. */
export function money(usd) {
  if (usd === null || usd === undefined || !Number.isFinite(Number(usd))) return "unknown";
  const amount = Math.abs(Number(usd));
  const sign = Number(usd) < 0 ? "−" : "";
  if (amount === 0) return "$0";
  if (amount >= 1) return `${sign}$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  if (amount < 1e-9) return `${sign}<$0.000000001`;
  const digits = Math.min(12, Math.max(2, 2 - Math.floor(Math.log10(amount))));
  return `${sign}$${amount.toFixed(digits)}`;
}

/** A length of time, in the unit that suits it. */
export function seconds(s) {
  if (s === null || s === undefined || !Number.isFinite(Number(s))) return "unknown";
  const value = Number(s);
  if (value === 0) return "0 s";
  if (value < 1e-6) return `${Math.round(value * 1e9)} ns`;
  if (value < 1e-3) return `${three(value * 1e6)} µs`;
  if (value < 1) return `${three(value * 1e3)} ms`;
  if (value < 120) return `${three(value)} s`;
  if (value < 7200) return `${three(value / 60)} min`;
  return value < 172800 ? `${three(value / 3600)} h` : `${three(value / 86400)} d`;
}

function three(value) {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

/** A share of 0 to 1; `n` is how many it is of: no more decimals than so many can show, and a dash where it is 0. */
export function percent(x, n) {
  if (x === null || x === undefined || !Number.isFinite(Number(x)) || n === 0) return "–";
  const digits = n === undefined || n >= 1000 ? 1 : 0;
  const figure = (100 * Math.abs(Number(x))).toFixed(digits);
  return `${Number(x) < 0 && Number(figure) ? "−" : ""}${figure}%`;
}

/** A count, with its thousands apart. */
export function count(n) {
  return n === null || n === undefined ? "unknown" : Number(n).toLocaleString("en-US");
}

/** How long ago, in words. */
export function ago(unix, now = Date.now() / 1000) {
  const past = now - unix;
  if (past < -5) return `in ${span(-past)}`;
  return past < 5 ? "just now" : `${span(past)} ago`;
}

function span(s) {
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 129600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

/** A moment: how long ago, with the whole date where one points at it or reads on. */
export function moment(unix) {
  const at = new Date(unix * 1000);
  return el("time", { datetime: at.toISOString(), title: at.toLocaleString() }, ago(unix));
}

let pending = 0;
/** Read this aloud, after what is being read; the newest wins. */
export function announce(text) {
  const region = document.getElementById("told");
  if (!region) return;
  clearTimeout(pending);
  put(region); // emptied first: the same words said twice are read twice
  pending = setTimeout(() => put(region, text), 60);
}

/** Whether one asked for less motion. */
export function still() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Put text on the clipboard, and say so on the button; where the browser refuses, the button says that. */
export async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    put(button, "Copied");
    announce("Copied");
  } catch {
    put(button, "Select and copy by hand");
  }
  setTimeout(() => put(button, before), 1600);
}

const THEMES = ["system", "light", "dark"];

function chosen() {
  try {
    const kept = localStorage.getItem("fastcascade-theme");
    return THEMES.includes(kept) ? kept : "system";
  } catch {
    return "system"; // storage may be refused: the system's choice then holds
  }
}

function wear(theme) {
  const root = document.documentElement;
  if (theme === "system") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme);
  const button = document.getElementById("theme");
  if (button) put(button, `Theme: ${theme}`);
}

function turn() {
  const next = THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length];
  try {
    localStorage.setItem("fastcascade-theme", next);
  } catch {
    // storage may be refused: the choice then lasts as long as the page
  }
  wear(next);
  announce(`Theme: ${next}`);
}

async function leave() {
  try {
    await call("POST", "/console/api/logout", {});
  } finally {
    location.assign("/console/login");
  }
}

async function greet() {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `/console/${page}`) link.setAttribute("aria-current", "page");
  }
  const person = await me.catch(() => null);
  if (!person) return;
  name = person.name;
  const who = document.getElementById("who");
  put(who, el("bdi", {}, person.name));
  who.hidden = document.getElementById("leave").hidden = false;
  if (person.role !== "reviewer") return;
  for (const link of document.querySelectorAll('nav a[data-role="operator"]')) link.parentElement.hidden = true;
}

wear(chosen());
document.getElementById("theme")?.addEventListener("click", turn);
document.getElementById("leave")?.addEventListener("click", leave);
greet();
