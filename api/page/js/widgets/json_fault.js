/**
 * What is wrong with a text as JSON, in words and with its place: browsers say it each in their own
 * way, and some without a place. Pure.
 */

const SPACE = /[\t\n\r ]*/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

class Fault extends Error {
  constructor(words, at) {
    super(words);
    this.at = at;
  }
}

/** `line 2, column 5: a value is wanted here`; null for JSON, and for a text of spaces. */
export function faultOf(text) {
  if (text.trim() === "") return null;
  try {
    const end = skip(text, value(text, skip(text, 0)));
    if (end < text.length) throw new Fault("nothing may follow here", end);
    return null;
  } catch (fault) {
    if (fault instanceof RangeError) return "it is nested too deep";
    if (!(fault instanceof Fault)) throw fault;
    const before = text.slice(0, fault.at).split("\n");
    return `line ${before.length}, column ${before[before.length - 1].length + 1}: ${fault.at >= text.length ? "the text ends too early; " : ""}${fault.message}`;
  }
}

/** Where the value that begins at `at` ends. */
function value(text, at) {
  if (text[at] === "{") return list(text, at, "}", member);
  if (text[at] === "[") return list(text, at, "]", value);
  if (text[at] === '"') return string(text, at);
  const end = match(SCALAR, text, at);
  if (end === null) throw new Fault(text[at] === "'" ? "texts stand in double quotes" : "a value is wanted here", at);
  return end;
}

function list(text, at, close, part) {
  at = skip(text, at + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = skip(text, part(text, at));
    if (text[at] === close) return at + 1;
    if (text[at] !== ",") throw new Fault(`“,” or “${close}” is wanted here`, at);
    at = skip(text, at + 1);
    if (text[at] === close) throw new Fault(`no “,” may stand before “${close}”`, at);
  }
}

function member(text, at) {
  if (text[at] !== '"') throw new Fault("a name in double quotes is wanted here", at);
  at = skip(text, string(text, at));
  if (text[at] !== ":") throw new Fault("“:” is wanted here", at);
  return value(text, skip(text, at + 1));
}

function string(text, at) {
  const end = match(STRING, text, at);
  if (end === null) throw new Fault("this text has no end, or holds what must be written with \\", at);
  return end;
}

const skip = (text, at) => match(SPACE, text, at) ?? at;

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : null;
}
