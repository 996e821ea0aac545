import { h } from "../dom.js";
import { icon } from "../icons.js";

/** A message that goes by itself; an error stays until it is closed. */
export function toast(text, { error = false } = {}) {
  const box = h("div.toast", { class: error ? "error" : "", role: error ? "alert" : null }, h("span", {}, text),
    h("button.icon-button", { type: "button", "aria-label": "Close", on: { click: () => box.remove() } }, icon("close")));
  document.querySelector(".toasts")?.append(box);
  if (!error) setTimeout(() => box.remove(), 4_000);
  return box;
}
