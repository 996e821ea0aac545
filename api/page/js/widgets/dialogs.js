/** Questions in front of the page: native dialogs, so that Escape, focus and the backdrop are the browser's. */

import { append, h } from "../dom.js";
import { icon } from "../icons.js";
import { ApiError } from "../http.js";

/**
 * Ask something in a dialog. Resolves with what `submit` returned, or null when it was closed.
 * @param {{title: string, body: any, act: string, danger?: boolean, wide?: boolean, told?: boolean, focus?: HTMLElement, submit: () => any}} options
 *   `told`: there is nothing to decline. `submit` may throw: the message is shown and the dialog stays. An `ApiError` as well.
 */
export function ask({ title, body, act, danger = false, wide = false, told = false, focus, submit }) {
  return new Promise((resolve) => {
    let answer = null;
    const trouble = h("p.trouble", { role: "alert", hidden: true });
    const send = h("button.button.primary", { type: "submit", class: danger ? "danger" : "" }, act);
    const cancel = h("button.button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
    const form = h("form", { method: "dialog", novalidate: true, on: { submit: tried } },
      h("header.dialog-head", {}, h("h2", {}, title), h("button.icon-button", { type: "button", "aria-label": "Close", on: { click: () => dialog.close() } }, icon("close"))),
      h("div.dialog-body", {}, body, trouble), h("footer.dialog-foot", {}, told ? null : cancel, send));
    const dialog = h("dialog", { class: wide ? "wide" : "", "aria-label": title, on: { close: () => { dialog.remove(); resolve(answer); }, click: outside } }, form);

    let typed = false; // a click beside what just moved is no wish to lose it
    form.addEventListener("input", () => { typed = true; });

    function outside(event) {
      if (event.target === dialog && !typed) dialog.close();
    }

    async function tried(event) {
      event.preventDefault();
      trouble.hidden = true;
      send.disabled = true;
      try {
        answer = await submit();
        if (answer !== undefined) dialog.close();
      } catch (error) {
        trouble.textContent = error instanceof ApiError || error instanceof UserError ? error.message : String(error);
        trouble.hidden = false;
      } finally {
        send.disabled = false;
      }
    }

    document.body.append(dialog);
    dialog.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
    dialog.showModal();
    focus?.focus();
  });
}

/** What the person has to put right; shown as it is. */
export class UserError extends Error {}

/** A line of text; null when the dialog was closed. */
export function askText({ title, label, value = "", act, hint, danger = false }) {
  const input = h("input", { type: "text", value, autocomplete: "off", spellcheck: "false" });
  const body = h("label.field", {}, h("span.field-name", {}, label), input, hint ? h("span.field-hint", {}, hint) : null);
  return ask({ title, body, act, danger, focus: input, submit: () => input.value });
}

const KEYS = [
  ["1 2 3", "Executions, tasks, definitions"], ["/", "Search"], ["j k", "Next, previous row"], ["Enter", "Open"],
  ["Esc", "Close, or back to the list"], ["n", "Start an execution"], ["g l e d", "Graph, timeline, events, data of an execution"],
  ["← ↑ → ↓", "From step to step in the graph"], ["+ − 0 r", "Zoom in, out, fit, turn the graph"],
  [", .", "One event back, forward"], ["Space", "Replay, pause"], ["t", "Light, dark"], ["?", "These keys"],
];

export function showKeys() {
  const list = h("dl.keys", {});
  for (const [keys, words] of KEYS) append(list, [h("dt", {}, keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, words)]);
  return ask({ title: "Keys", body: list, act: "Close", told: true, submit: () => true });
}
