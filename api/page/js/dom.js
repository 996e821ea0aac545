/**
 * Elements from values. The one way in which this page makes DOM: text becomes text nodes and
 * nothing is ever parsed as HTML, so that whatever an execution carries stays inert.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 * @param {string} tag `div`, or with classes `div.card.wide`
 * @param {Record<string, any>} [props] attributes; `on: {event: handler}`, `data: {key: value}`,
 *   `value`, `checked`, `disabled`, `hidden` and other properties by name; null and false are left out
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  return build(document.createElement(tag.split(".")[0]), tag, props, children);
}

/** An SVG element; as `h`. @returns {any} */
export function s(tag, props = {}, ...children) {
  return build(document.createElementNS(SVG, tag.split(".")[0]), tag, props, children);
}

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "tabIndex", "selected", "open", "indeterminate", "readOnly"]);

function build(element, tag, props, children) {
  const classes = tag.split(".").slice(1);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false && !PROPERTIES.has(name)) continue;
    if (name === "on") for (const [type, handler] of Object.entries(value)) element.addEventListener(type, handler);
    else if (name === "data") for (const [key, each] of Object.entries(value)) { if (each != null) element.dataset[key] = String(each); }
    else if (name === "class") element.setAttribute("class", [...classes, value].join(" "));
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Append children, flattened; null, undefined and false are nothing. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Put these children in place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** Listen until `signal` aborts: views hand in the signal of their life. */
export function listen(target, type, handler, signal, options = {}) {
  target.addEventListener(type, handler, { ...options, signal });
}

/** A function that runs at most once a frame, however often it is asked for. */
export function oncePerFrame(work) {
  let asked = 0;
  const later = () => {
    if (asked) return;
    asked = requestAnimationFrame(() => { asked = 0; work(); });
  };
  later.cancel = () => { cancelAnimationFrame(asked); asked = 0; };
  return later;
}

/** Whether a key press belongs to what is being typed, and not to the page. */
export function isTyping(event) {
  const target = event.target;
  if (target instanceof HTMLInputElement && (target.type === "range" || target.type === "checkbox")) return false;
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
