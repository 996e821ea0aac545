/**
 * Addresses of the page: `#/executions/ID?tab=timeline`. Pure but for `navigate` and `watch`.
 * Parts are percent-encoded, so that an id may hold whatever an id may hold.
 */

/**
 * @typedef {{parts: string[], query: Record<string, string>}} Place
 */

/** Read the hash of an address. @returns {Place} */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#?\/?/, "").split("?");
  return {
    parts: path.split("/").filter(Boolean).map(decode),
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

/** Write one; empty query values are left out. */
export function format(parts, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Go to a place. `replace`: without a step for the back button, and without a new view. */
export function navigate(hash, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", hash);
  else location.hash = hash;
}

/** Call back with each place from now on, first with this one. */
export function watch(callback) {
  const tell = () => callback(parse(location.hash));
  addEventListener("hashchange", tell);
  tell();
}
