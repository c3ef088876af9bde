// The keys of the review desk: single ones are off while one writes, and can be switched off (WCAG 2.1.4).

import { announce, put } from "./shell.js";

const KEPT = "fastcascade-review-keys";
const dialog = document.getElementById("shortcuts");
const button = document.getElementById("switch");
let on = kept() !== "off";

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // storage may be refused: the choice then lasts as long as the page
  }
}

function wear() {
  button.setAttribute("aria-pressed", String(on));
  put(button, `Single-key shortcuts: ${on ? "on" : "off"}`);
}

function turn() {
  on = !on;
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // as above
  }
  wear();
  announce(`Single-key shortcuts are ${on ? "on" : "off"}`);
}

const writing = (node) => Boolean(node.closest?.("input, textarea, select, [contenteditable]"));

/** What a key does: `acts` by the key, `number` for 1 to 9, `send` for Ctrl and Enter, `escape` out of the text. */
export function listen(acts) {
  const act = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return acts.send;
    if (event.key === "Escape") return event.target.id === "text" || event.target.id === "note" ? acts.escape : null;
    if (!on || event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return null;
    if (event.key === "?") return () => dialog.showModal();
    if (/^[1-9]$/.test(event.key)) return () => acts.number(Number(event.key));
    return /^[a-z]$/.test(event.key) && Object.hasOwn(acts, event.key) ? acts[event.key] : null;
  };
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.repeat || dialog.open) return;
    const found = act(event);
    if (!found) return;
    event.preventDefault();
    found();
  });
  button.addEventListener("click", turn);
  document.getElementById("help").addEventListener("click", () => dialog.showModal());
  wear();
}
