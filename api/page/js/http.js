/**
 * The HTTP interface, as the page uses it. One function asks; every refusal is an `ApiError` whose
 * message is the server's own, since that says the place and the cure.
 */

import { settings } from "./settings.js";

/** Where the interface is, beside the page itself: the page also works below a path. */
export const ROOT = new URL("api/v1/", new URL(".", location.href.split("#")[0]));

/** A refusal, or no answer at all (`status` 0, `code` UNREACHABLE). */
export class ApiError extends Error {
  constructor({ status, code, error, message, details, body }) {
    super(message || error || `The server answered ${status}.`);
    this.name = "ApiError";
    /** @type {number} */ this.status = status;
    /** @type {string} */ this.code = code || "UNKNOWN";
    /** @type {string} */ this.title = error || (status ? `Error ${status}` : "No answer");
    /** @type {any} */ this.details = details ?? null;
    /** @type {any} */ this.body = body ?? null;
  }

  /** Whether asking again later may help without changing anything. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 503 || this.status === 502 || this.status === 504;
  }
}

/**
 * Ask, and return the answer's JSON.
 * @param {string} method
 * @param {string} path below `/api/v1/`, its parts percent-encoded (see `at`)
 * @param {{query?: Record<string, any>, body?: any, signal?: AbortSignal}} [options]
 * @throws {ApiError}
 */
export async function ask(method, path, { query = {}, body, signal } = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") url.searchParams.append(name, String(each));
    }
  }
  const headers = { Accept: "application/json", "X-Namespace": settings.namespace };
  // Headers hold bytes: a name goes as those of its UTF-8.
  if (settings.user) headers["X-User"] = String.fromCharCode(...new TextEncoder().encode(settings.user));
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError({ status: 0, code: "UNREACHABLE", error: "No answer", message: "The server does not answer. Is the deployment up?" });
  }
  return read(response);
}

async function read(response) {
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // A proxy's page: the status tells enough.
  }
  if (!response.ok) throw new ApiError({ ...(value && typeof value === "object" ? value : {}), status: response.status, body: value });
  return value;
}

/** A path of literal parts: `` at`workflows/${id}/pause` `` encodes what is put in. */
export function at(parts, ...values) {
  return parts.reduce((path, part, i) => path + (i ? encodeURIComponent(values[i - 1]) : "") + part, "");
}

export const get = (path, query, signal) => ask("GET", path, { query, signal });
export const post = (path, body = {}, signal) => ask("POST", path, { body, signal });
