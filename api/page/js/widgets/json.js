/**
 * A JSON value to look at: a tree whose parts open, made only when they are opened, so that a large
 * value costs what is looked at. Long lists and texts show their beginning and a way to the rest.
 */

import { append, h } from "../dom.js";
import { bytes, count } from "../format.js";
import { copyButton } from "./parts.js";

const OPEN_DEPTH = 2;
const CHILDREN = 100;
const TEXT = 600;

/** @param {any} value @param {{open?: number, label?: string}} [options] */
export function jsonView(value, { open = OPEN_DEPTH, label = "value" } = {}) {
  const text = () => JSON.stringify(value, null, 2) ?? "null";
  return h("div.json", { role: "group", "aria-label": label }, copyButton(text, `Copy ${label}`), part(null, value, open));
}

function part(key, value, open) {
  const name = key === null ? null : h("span.json-key", {}, typeof key === "number" ? `${key}` : key, h("span.json-mark", {}, ": "));
  if (value === null || typeof value !== "object") return h("div.json-line", {}, name, scalar(value));
  if (typeof value.$blob === "string" || (value.blob && value.encoding)) return h("div.json-line", {}, name, blob(value));
  if (Array.isArray(value.$held)) return h("div.json-line", {}, name, h("span.json-blob", {}, `told by an earlier event, of scope ${value.$held[0]}`));
  return branch(name, value, open);
}

function branch(name, value, open) {
  const list = Array.isArray(value);
  const size = list ? value.length : Object.keys(value).length;
  const [left, right] = list ? ["[", "]"] : ["{", "}"];
  if (size === 0) return h("div.json-line", {}, name, h("span.json-mark", {}, left + right));
  const words = list ? `${count(size)} ${size === 1 ? "item" : "items"}` : `${count(size)} ${size === 1 ? "field" : "fields"}`;
  const inner = h("div.json-inner");
  const details = h("details", { open: false }, h("summary", {}, name, h("span.json-mark", {}, left), h("span.json-size", {}, words), h("span.json-mark", {}, right)), inner);
  let made = false;
  const make = () => {
    if (made || !details.open) return;
    made = true;
    more(inner, list ? value.map((each, i) => [i, each]) : Object.entries(value), 0, open - 1);
  };
  details.addEventListener("toggle", make);
  if (open > 0 && size <= CHILDREN) { details.open = true; make(); }
  return details;
}

function more(inner, entries, from, open) {
  append(inner, entries.slice(from, from + CHILDREN).map(([key, value]) => part(key, value, open)));
  const left = entries.length - from - CHILDREN;
  if (left <= 0) return;
  const button = h("button.link", { type: "button", on: { click: () => { button.remove(); more(inner, entries, from + CHILDREN, open); } } }, `${count(Math.min(left, CHILDREN))} more of ${count(left)}`);
  inner.append(button);
}

function scalar(value) {
  if (typeof value !== "string") return h("span", { class: `json-${value === null ? "null" : typeof value}` }, String(value));
  if (value.length <= TEXT) return h("span.json-string", {}, JSON.stringify(value));
  const span = h("span.json-string", {}, JSON.stringify(value.slice(0, TEXT)).slice(0, -1), "… ");
  span.append(h("button.link", { type: "button", on: { click: () => { span.textContent = JSON.stringify(value); } } }, `all ${count(value.length)} characters`));
  return span;
}

/** A large or binary value lies elsewhere: say what is known of it. */
function blob(value) {
  const known = [value.encoding, value.bytes != null ? bytes(value.bytes) : null].filter(Boolean).join(", ");
  return h("span.json-blob", { title: String(value.$blob ?? value.blob) }, `stored apart${known ? ` (${known})` : ""}`);
}
