/**
 * A form out of a JSON Schema: which fields there are, what they begin with, and what is wrong with
 * a value. Pure.
 *
 * Understands what people are asked for: texts, numbers, booleans, choices, nested objects, lists of
 * simple values. Anything else (`oneOf`, lists of objects, …) is a field of JSON. The server checks
 * the whole schema; this only finds early what it surely refuses.
 */

/**
 * @typedef {Object} Field
 * @property {(string|number)[]} path
 * @property {"text"|"area"|"number"|"integer"|"boolean"|"choice"|"date"|"datetime"|"object"|"list"|"json"} kind
 * @property {string} title @property {string|null} description @property {boolean} required
 * @property {any} schema @property {Field[]} [children] of an object @property {any} [initial]
 */

const DEPTH_MAX = 6;

/** @returns {Field} the root: an object's fields, or one field for a whole simple value */
export function fieldOf(schema, path = [], required = true, root = schema, depth = 0) {
  const own = resolved(schema ?? {}, root);
  const field = { path, kind: kindOf(own, depth), title: own.title ?? wordsOf(path), description: own.description ?? null, required, schema: own, initial: own.default ?? own.const };
  if (field.kind === "object") {
    const must = new Set(own.required ?? []);
    // In the order in which they were written. Names that are sorted may have lost it, where an
    // earlier release stored the form; `required`, a list, has not.
    const names = Object.keys(own.properties ?? {});
    const sorted = names.every((name, i) => !i || names[i - 1] < name);
    const order = !sorted ? names : [...[...must].filter((name) => names.includes(name)), ...names.filter((name) => !must.has(name))];
    field.children = order.map((name) => [name, own.properties[name]]).map(([name, each]) => fieldOf(each, [...path, name], must.has(name), root, depth + 1));
  }
  if (field.kind === "list") field.item = fieldOf(own.items, [...path, 0], true, root, depth + 1);
  return field;
}

function kindOf(schema, depth) {
  if (Array.isArray(schema.enum) && schema.enum.every(simple)) return "choice";
  switch (typeOf(schema)) {
    case "string": return schema.format === "date" ? "date" : schema.format === "date-time" ? "datetime" : (schema.maxLength ?? 0) > 120 || schema.format === "textarea" ? "area" : "text";
    case "number": return "number";
    case "integer": return "integer";
    case "boolean": return "boolean";
    case "object": return schema.properties && depth < DEPTH_MAX ? "object" : "json";
    case "array": return schema.items && !Array.isArray(schema.items) && isSimple(schema.items) ? "list" : "json";
    default: return "json";
  }
}

/** The one type, `null` aside; "object" where only properties say so. */
export function typeOf(schema) {
  const types = [schema.type].flat().filter((type) => type && type !== "null");
  if (types.length === 1) return types[0];
  if (!types.length && schema.properties) return "object";
  return null;
}

const simple = (value) => value === null || typeof value !== "object";
const isSimple = (schema) => ["string", "number", "integer", "boolean"].includes(typeOf(schema)) || Array.isArray(schema.enum);

function resolved(schema, root) {
  const ref = /^#\/(.+)$/.exec(schema.$ref ?? "");
  if (!ref) return schema;
  const found = ref[1].split("/").reduce((at, part) => at?.[part.replace(/~1/g, "/").replace(/~0/g, "~")], root);
  return found && found !== schema ? { ...found, ...schema, $ref: undefined } : schema;
}

function wordsOf(path) {
  const last = path[path.length - 1];
  if (typeof last !== "string") return "Value";
  const words = last.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1).toLowerCase();
}

/**
 * What is wrong with a value, each with its path. A missing field is told at the field.
 * @returns {{path: (string|number)[], message: string}[]}
 */
export function faultsOf(schema, value, path = [], root = schema) {
  const own = resolved(schema ?? {}, root);
  const faults = [];
  const say = (message, at = path) => faults.push({ path: at, message });
  const types = [own.type].flat().filter(Boolean);
  if (value === null && (types.includes("null") || !types.length)) return faults;
  if (types.length && !types.some((type) => isOf(value, type))) return [{ path, message: value === null || value === undefined ? "This is needed." : `A ${types.join(" or ")} is wanted.` }];
  if (own.enum && !own.enum.some((each) => same(each, value))) say(`One of ${own.enum.map((each) => JSON.stringify(each)).join(", ")} is wanted.`);
  if (own.const !== undefined && !same(own.const, value)) say(`It must be ${JSON.stringify(own.const)}.`);
  if (typeof value === "string") textFaults(own, value, say);
  if (typeof value === "number") numberFaults(own, value, say);
  if (Array.isArray(value)) {
    if (own.minItems !== undefined && value.length < own.minItems) say(`At least ${own.minItems} are wanted.`);
    if (own.maxItems !== undefined && value.length > own.maxItems) say(`At most ${own.maxItems} are allowed.`);
    if (own.items && !Array.isArray(own.items)) value.forEach((each, i) => faults.push(...faultsOf(own.items, each, [...path, i], root)));
  } else if (value && typeof value === "object") {
    for (const name of own.required ?? []) if (value[name] === undefined) say("This is needed.", [...path, name]);
    for (const [name, each] of Object.entries(own.properties ?? {})) if (value[name] !== undefined) faults.push(...faultsOf(each, value[name], [...path, name], root));
  }
  return faults;
}

function textFaults(schema, value, say) {
  const length = [...value].length;
  if (schema.minLength !== undefined && length < schema.minLength) say(schema.minLength === 1 ? "This is needed." : `At least ${schema.minLength} characters are wanted.`);
  if (schema.maxLength !== undefined && length > schema.maxLength) say(`At most ${schema.maxLength} characters are allowed.`);
  if (schema.pattern !== undefined && !matches(schema.pattern, value)) say(`It must match ${schema.pattern}.`);
}

/** A pattern that this browser cannot read is left to the server. */
function matches(pattern, value) {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true;
  }
}

function numberFaults(schema, value, say) {
  if (schema.minimum !== undefined && value < schema.minimum) say(`At least ${schema.minimum} is wanted.`);
  if (schema.maximum !== undefined && value > schema.maximum) say(`At most ${schema.maximum} is allowed.`);
  if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) say(`More than ${schema.exclusiveMinimum} is wanted.`);
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum) say(`Less than ${schema.exclusiveMaximum} is wanted.`);
}

function isOf(value, type) {
  switch (type) {
    case "null": return value === null;
    case "array": return Array.isArray(value);
    case "object": return value !== null && typeof value === "object" && !Array.isArray(value);
    case "integer": return Number.isInteger(value);
    case "number": return typeof value === "number" && Number.isFinite(value);
    default: return typeof value === type;
  }
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** `output.lines[0].sku` of a refusal, as a path; a leading name of the request's field is dropped. */
export function pathOf(field, outer = ["output", "input"]) {
  const parts = String(field ?? "").replace(/^\$\.?/, "").split(/[.[\]/]+/).filter(Boolean).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  return outer.includes(parts[0]) ? parts.slice(1) : parts;
}

/** A value that a schema would take as it is, as far as its defaults go. */
export function exampleOf(schema, root = schema) {
  const own = resolved(schema ?? {}, root);
  if (own.default !== undefined) return own.default;
  if (own.examples?.length) return own.examples[0];
  if (own.const !== undefined) return own.const;
  if (own.enum) return own.enum[0];
  switch (typeOf(own)) {
    case "object": return Object.fromEntries(Object.entries(own.properties ?? {}).filter(([name]) => !own.required || own.required.includes(name)).map(([name, each]) => [name, exampleOf(each, root)]));
    case "array": return [];
    case "string": return "";
    case "number": case "integer": return own.minimum ?? 0;
    case "boolean": return false;
    default: return null;
  }
}
