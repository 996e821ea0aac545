/** Small parts that every view uses: statuses, times, what is said while there is nothing to show. */

import { fill, h } from "../dom.js";
import { ago, fullInstant, millis } from "../format.js";
import { icon } from "../icons.js";

/** A status with its sign, in its colour. */
export function statusBadge(status, { small = false } = {}) {
  return h("span.status", { class: small ? "small" : "", data: { status } }, h("span.status-sign", {}, icon(status, { size: 11 })), status);
}

/** An instant told as its distance from now; the whole of it on hover. `retell` keeps it true. */
export function when(instant) {
  const ms = millis(instant);
  if (ms === null) return h("span.faint", {}, "–");
  return h("time", { datetime: new Date(ms).toISOString(), title: fullInstant(ms), data: { at: ms } }, ago(ms));
}

/** Tell all instants below an element again. */
export function retell(element, now = Date.now()) {
  for (const each of element.querySelectorAll("time[data-at]")) each.textContent = ago(Number(each.dataset.at), now);
}

/** Nothing to show, and what to do about it. */
export function emptyState(sign, title, ...hints) {
  return h("div.state", {}, h("div.state-sign", {}, icon(sign, { size: 22 })), h("p.state-title", {}, title), hints.map((hint) => (typeof hint === "string" ? h("p.state-hint", {}, hint) : hint)));
}

/** Grey bars where rows will be. */
export function loadingState(rows = 6) {
  return h("div.skeleton", { role: "status", "aria-label": "Loading" }, Array.from({ length: rows }, () => h("div.bone")));
}

/** What went wrong, in the server's words, and a button that tries again. */
export function errorState(error, again) {
  return h("div.state.bad", { role: "alert" }, h("div.state-sign", {}, icon("Failed", { size: 20 })),
    h("p.state-title", {}, error.title ?? "Something went wrong"), h("p.state-hint", {}, error.message),
    again ? h("button.button", { type: "button", on: { click: again } }, "Try again") : null);
}

/** A heading with its actions. */
export function pageHead(title, note, ...acts) {
  return h("header.page-head", {}, h("div", {}, h("h1", {}, title), note ?? null), h("div.acts", {}, acts));
}

/** A button that copies a text, and says so. */
export function copyButton(text, label = "Copy") {
  const button = h("button.icon-button.copy", { type: "button", title: label, "aria-label": label, on: { click: copy } }, icon("copy", { size: 14 }));
  async function copy(event) {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      fill(button, icon("Completed", { size: 14 }));
      setTimeout(() => fill(button, icon("copy", { size: 14 })), 1_200);
    } catch {
      button.title = "The browser does not allow it";
    }
  }
  return button;
}

/** Tabs whose choice is part of the address. */
export function tabs(names, chosen, choose) {
  const buttons = new Map(names.map(([key, label]) => [key, h("button.tab", { type: "button", role: "tab", data: { tab: key }, on: { click: () => choose(key) } }, label)]));
  const element = h("div.tabs", { role: "tablist", on: { keydown: keys } }, [...buttons.values()]);
  function keys(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const all = [...buttons.values()].filter((button) => !button.hidden);
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next?.focus();
    next?.click();
    event.preventDefault();
    event.stopPropagation();
  }
  function mark(key) {
    for (const [name, button] of buttons) {
      button.setAttribute("aria-selected", String(name === key));
      button.tabIndex = name === key ? 0 : -1;
    }
  }
  mark(chosen);
  return { element, mark, button: (key) => buttons.get(key) };
}
