/** The form on the screen: makes the inputs of `schema.js`'s fields, reads them, shows faults where they are. */

import { fill, h } from "../dom.js";
import { icon } from "../icons.js";
import { jsonEditor } from "../widgets/json_editor.js";
import { faultsOf, fieldOf } from "./schema.js";

/**
 * @param {any} schema
 * @param {any} [value] what the fields begin with, before the schema's defaults
 * @returns {{element: HTMLElement, read: () => any, check: () => boolean, faults: (list: {path: (string|number)[], message: string}[]) => boolean}}
 */
export function schemaForm(schema, value) {
  const inputs = [];
  const rest = h("p.trouble", { role: "alert", hidden: true });
  const root = make(fieldOf(schema), value);
  const element = h("div.fields", {}, root.element, rest);
  element.addEventListener("input", (event) => event.target.closest?.(".field")?.classList.contains("bad") && clear());

  function make(field, from) {
    const made = (MAKERS[field.kind] ?? simpleField)(field, from === undefined ? field.initial : from, make);
    inputs.push({ field, made });
    return made;
  }

  function clear() {
    rest.hidden = true;
    for (const { made } of inputs) made.fault?.(null);
  }

  /** Show each fault at its field, or at the nearest field around it; the first gets the focus. */
  function faults(list) {
    clear();
    const left = [];
    let first = null;
    for (const { path, message } of list) {
      const holder = nearest(path);
      if (!holder) left.push(path.length ? `${path.join(".")}: ${message}` : message);
      else {
        holder.made.fault(message);
        first ??= holder.made;
      }
    }
    rest.textContent = left.join(" ");
    rest.hidden = !left.length;
    first?.focus?.();
    return list.length === 0;
  }

  function nearest(path) {
    for (let length = path.length; length >= 0; length--) {
      const key = JSON.stringify(path.slice(0, length));
      const found = inputs.find(({ field, made }) => made.fault && JSON.stringify(field.path) === key && (length > 0 || field.kind !== "object"));
      if (found) return found;
    }
    return null;
  }

  return { element, read: () => root.read(), faults, check: () => faults(faultsOf(schema, root.read())) };
}

const MAKERS = { object: objectField, list: listField, boolean: booleanField, choice: choiceField, json: jsonField };
let ids = 0;

/** Name, input, fault and hint of one field, tied together for those who hear the page. */
function wrap(field, control, extra = {}) {
  const id = `f${++ids}`;
  const fault = h("span.field-fault", { id: `${id}-fault`, role: "alert", hidden: true });
  const target = extra.target ?? control;
  target.id = id;
  target.setAttribute("aria-describedby", `${id}-fault ${id}-hint`);
  if (field.required) target.setAttribute("aria-required", "true");
  const element = h("div.field", { data: { field: field.path.join(".") } },
    h("label.field-name", { for: id }, field.title, field.required ? null : h("span.optional", {}, "optional")), control, fault, field.description ? h("span.field-hint", { id: `${id}-hint` }, field.description) : null);
  return {
    element,
    fault(message) {
      fault.textContent = message ?? "";
      fault.hidden = !message;
      element.classList.toggle("bad", Boolean(message));
      target.setAttribute("aria-invalid", String(Boolean(message)));
    },
    focus: () => target.focus(),
  };
}

function simpleField(field, value) {
  const number = field.kind === "number" || field.kind === "integer";
  const input = field.kind === "area"
    ? h("textarea", { rows: 3, value: value ?? "", maxlength: field.schema.maxLength })
    : h("input", { type: { date: "date", datetime: "datetime-local" }[field.kind] ?? (field.schema.format === "email" ? "email" : "text"), inputmode: number ? "decimal" : null, autocomplete: "off", value: value ?? "" });
  const wrapped = wrap(field, input);
  return { ...wrapped, read: () => readText(field, input.value) };
}

/** An empty field is left out; a number that is none stays a text, and is refused as such. */
function readText(field, text) {
  if (text === "") return undefined;
  if (field.kind === "number" || field.kind === "integer") {
    const number = Number(text.trim().replace(/(\d),(\d{3})(?!\d)/g, "$1$2"));
    return text.trim() === "" || Number.isNaN(number) ? text : number;
  }
  if (field.kind === "datetime") return new Date(text).toISOString();
  return text;
}

function booleanField(field, value) {
  const input = h("input", { type: "checkbox", role: "switch", checked: value === true });
  const wrapped = wrap(field, h("span.switch", {}, input, h("span.switch-track", { "aria-hidden": "true" })), { target: input });
  wrapped.element.classList.add("inline");
  return { ...wrapped, read: () => input.checked };
}

/** Few choices are buttons, more a list. */
function choiceField(field, value) {
  const options = field.schema.enum;
  const select = h("select", {}, field.required && value !== undefined ? null : h("option", { value: "" }, "–"), options.map((each, i) => h("option", { value: String(i), selected: each === value }, each === null ? "null" : String(each))));
  return { ...wrap(field, select), read: () => (select.value === "" ? undefined : options[Number(select.value)]) };
}

function objectField(field, value, make) {
  const children = field.children.map((child) => [child, make(child, value?.[child.path[child.path.length - 1]])]);
  const inner = h("div.fields", {}, children.map(([, made]) => made.element));
  const root = field.path.length === 0;
  const fault = h("span.field-fault", { role: "alert", hidden: true });
  const element = root ? inner : h("fieldset.field", { data: { field: field.path.join(".") } }, h("legend", {}, field.title, field.required ? null : h("span.optional", {}, "optional")), field.description ? h("span.field-hint", {}, field.description) : null, fault, inner);
  return {
    element,
    read() {
      const entries = children.map(([child, made]) => [child, made.read()]).filter(([, each]) => each !== undefined);
      // An optional group in which nothing was filled in is left out; switches alone fill in nothing.
      if (!root && !field.required && entries.every(([child, each]) => child.kind === "boolean" && each === false)) return undefined;
      return Object.fromEntries(entries.map(([child, each]) => [child.path[child.path.length - 1], each]));
    },
    fault: root ? undefined : (message) => { fault.textContent = message ?? ""; fault.hidden = !message; element.classList.toggle("bad", Boolean(message)); },
    focus: () => children[0]?.[1].focus?.(),
  };
}

function listField(field, value, make) {
  let rows = [];
  const list = h("div.list-rows");
  const add = h("button.button.small", { type: "button", on: { click: () => { rows.push(row(undefined)); draw(); rows[rows.length - 1].focus?.(); } } }, icon("plus", { size: 12 }), "Add");
  const fault = h("span.field-fault", { role: "alert", hidden: true });
  const element = h("fieldset.field", { data: { field: field.path.join(".") } }, h("legend", {}, field.title, field.required ? null : h("span.optional", {}, "optional")), list, add, fault, field.description ? h("span.field-hint", {}, field.description) : null);

  function row(from) {
    const kind = MAKERS[field.item.kind] ?? simpleField;
    return kind({ ...field.item, title: `${field.title} ${rows.length + 1}` }, from, make);
  }

  function draw() {
    fill(list, rows.map((each, i) => h("div.list-row", {}, each.element, h("button.icon-button", { type: "button", "aria-label": `Remove ${i + 1}`, on: { click: () => { rows = rows.filter((other) => other !== each); draw(); } } }, icon("close", { size: 13 })))));
  }

  for (const each of Array.isArray(value) ? value : []) rows.push(row(each));
  draw();
  return {
    element,
    read() {
      const values = rows.map((each) => each.read()).filter((each) => each !== undefined);
      return values.length || field.required ? values : undefined;
    },
    fault: (message) => { fault.textContent = message ?? ""; fault.hidden = !message; element.classList.toggle("bad", Boolean(message)); },
    focus: () => (rows[0]?.focus ?? (() => add.focus()))(),
  };
}

function jsonField(field, value) {
  const editor = jsonEditor({ label: field.title, value: value ?? null, hint: field.description, rows: 5 });
  editor.element.dataset.field = field.path.join(".");
  return {
    element: editor.element,
    read() {
      const read = editor.value();
      return read === null && !field.required ? undefined : read;
    },
    fault: (message) => { editor.fault(message); editor.element.classList.toggle("bad", Boolean(message)); },
    focus: () => editor.input.focus(),
  };
}
