/** A text area for JSON that says, with line and column, what is wrong while one types. */

import { h } from "../dom.js";
import { UserError } from "./dialogs.js";
import { faultOf } from "./json_fault.js";

/**
 * @param {{label: string, value?: any, hint?: string, rows?: number}} options
 * @returns {{element: HTMLElement, value: () => any, set: (value: any) => void, input: HTMLTextAreaElement, fault: (message: string | null) => void}}
 *   `value` throws a `UserError` where the text is no JSON; an empty text is null
 */
export function jsonEditor({ label, value = null, hint, rows = 6 }) {
  const input = h("textarea.code", { rows, spellcheck: "false", autocomplete: "off", autocapitalize: "off", on: { input: check, keydown: indent } });
  const message = h("span.field-fault", { role: "alert", hidden: true });
  const element = h("label.field", {}, h("span.field-name", {}, label), input, message, hint ? h("span.field-hint", {}, hint) : null);
  set(value);

  function set(next) {
    input.value = next === null || next === undefined ? "" : JSON.stringify(next, null, 2);
    check();
  }

  function check() {
    fault(faultOf(input.value));
  }

  function fault(text) {
    message.textContent = text ?? "";
    message.hidden = !text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
  }

  /** A new line begins below the one before it, two spaces further in behind a bracket. */
  function indent(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    const line = input.value.slice(0, input.selectionStart).split("\n").pop();
    const spaces = /^\s*/.exec(line)[0] + (/[[{]\s*$/.test(line) ? "  " : "");
    if (!spaces) return;
    event.preventDefault();
    input.setRangeText(`\n${spaces}`, input.selectionStart, input.selectionEnd, "end");
    check();
  }

  return {
    element, input, set, fault,
    value() {
      const wrong = faultOf(input.value);
      if (wrong) {
        input.focus();
        throw new UserError(`${label}: ${wrong}`);
      }
      return input.value.trim() === "" ? null : JSON.parse(input.value);
    },
  };
}
