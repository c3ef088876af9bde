// A session that ended in the middle of work: nothing that was typed is lost, and one goes on after signing in elsewhere.

import { announce, el, put } from "./shell.js";

let waiting = null;

/** Ask to sign in in another tab; comes to who is signed in, once it is the one of before. */
export function again(page, name) {
  waiting ??= asked(page, name).finally(() => {
    waiting = null;
  });
  return waiting;
}

function asked(page, name) {
  const { promise, resolve } = once();
  const told = el("span", {});
  const button = el("button", { type: "button" }, "Go on");
  const link = el("a", { href: `/console/login?next=${page}`, target: "_blank", rel: "noopener" }, "Sign in in another tab");
  const bar = el("div", { class: "wrong ended" },
    el("p", { role: "alert" }, "Your session has ended. What you typed is kept here, and nothing of it was sent."),
    el("p", {}, link, ", then come back and go on. ", told), button);
  const look = async () => {
    const person = await known();
    if (person?.name === name) resolve(person);
    else put(told, person ? ["Now ", el("bdi", {}, person.name), " is signed in; this page is of ", el("bdi", {}, name), "."] : "");
    return person;
  };
  const press = async () => {
    if (!(await look())) put(told, "Nobody is signed in yet.");
  };
  button.addEventListener("click", press);
  addEventListener("focus", look);
  document.getElementById("main").prepend(bar);
  return promise.then((person) => {
    removeEventListener("focus", look);
    const focused = bar.contains(document.activeElement);
    bar.remove();
    if (focused) document.getElementById("main").focus();
    announce("Signed in again");
    return person;
  });
}

function once() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function known() {
  try {
    const response = await fetch("/console/api/me", { headers: { accept: "application/json" } });
    return response.ok ? await response.json() : null;
  } catch {
    return null; // the gateway is away: it may come back
  }
}
