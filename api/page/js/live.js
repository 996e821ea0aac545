/**
 * One execution's socket, held open for as long as its view lives.
 *
 * Guaranteed to its listener, whatever restarts meanwhile: every event after the first state, each
 * once, in the order of `seq`, without a gap. After a break the socket asks for what came after the
 * last event it passed on (`?after=`). Back-off doubles up to `BACKOFF_MS_MAX`, with jitter, and is
 * cut short when the browser comes back online or to the front.
 */

import { ROOT, at } from "./http.js";
import { settings } from "./settings.js";

const BACKOFF_MS_MIN = 300;
/** A page left open finds a restarted server within this time. */
const BACKOFF_MS_MAX = 8_000;
/** A socket that breaks without a word is noticed after two of these. */
const PING_MS = 15_000;

/** Close codes after which asking again cannot help. */
const FINAL = new Map([
  [4404, "There is no such execution in this namespace."],
  [4400, "The server refused to watch this execution."],
  [4403, "The server takes no requests from here."],
]);

/**
 * @typedef {Object} Listener
 * @property {(state: any, seq: number) => void} state first of each connection
 * @property {(frame: any) => void} event in order, each once
 * @property {(notice: any) => void} [notice] lossy
 * @property {(frame: any) => void} [end]
 * @property {(connection: {phase: "connecting"|"live"|"reconnecting"|"gone", reason?: string, tries: number}) => void} connection
 */

/**
 * Follow an execution until `stop` is called.
 * @param {string} id
 * @param {Listener} listener
 */
export function follow(id, listener) {
  let socket = null;
  let timer = 0;
  let pinger = 0;
  let tries = 0;
  let stopped = false;
  let heard = true;
  /** The last event passed on; null until the first state. */
  let last = null;

  function open() {
    clearTimeout(timer);
    if (stopped) return;
    listener.connection({ phase: last === null && tries === 0 ? "connecting" : "reconnecting", tries });
    socket = new WebSocket(address(id, last));
    const mine = socket;
    mine.onmessage = (message) => { if (mine === socket) receive(message.data); };
    mine.onclose = (closed) => { if (mine === socket) broke(closed); };
  }

  function receive(text) {
    heard = true;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return again(); // half a frame: something between us and the server broke it
    }
    if (frame.type === "state") {
      tries = 0;
      if (last === null) last = frame.seq;
      listener.connection({ phase: "live", tries: 0 });
      listener.state(frame.state, frame.seq);
      ping();
    } else if (frame.type === "event") {
      if (frame.seq <= last) return;
      // Never seen from our server; a proxy that drops frames is treated as a break.
      if (frame.seq !== last + 1) return again();
      last = frame.seq;
      listener.event(frame);
    } else if (frame.type === "notice") listener.notice?.(frame.notice);
    else if (frame.type === "end") listener.end?.(frame);
  }

  function broke(closed) {
    clearInterval(pinger);
    socket = null;
    if (stopped) return;
    if (FINAL.has(closed.code)) {
      stopped = true;
      return listener.connection({ phase: "gone", reason: closed.reason || FINAL.get(closed.code), tries });
    }
    tries += 1;
    listener.connection({ phase: "reconnecting", tries });
    timer = setTimeout(open, backoff(tries));
  }

  /** Give this socket up and open the next one. */
  function again() {
    const old = socket;
    socket = null;
    clearInterval(pinger);
    old?.close();
    broke({ code: 1006 });
  }

  function ping() {
    clearInterval(pinger);
    pinger = setInterval(() => {
      if (!heard) return again();
      heard = false;
      if (socket?.readyState === WebSocket.OPEN) socket.send('{"message_type":"ping"}');
    }, PING_MS);
  }

  function hurry() {
    if (!stopped && socket === null && document.visibilityState === "visible") open();
  }

  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  open();

  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      clearInterval(pinger);
      removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
      socket?.close();
      socket = null;
    },
    /** Ask for the state again. */
    refresh() {
      if (socket?.readyState === WebSocket.OPEN) socket.send('{"message_type":"refresh"}');
    },
  };
}

function address(id, after) {
  const url = new URL(at`ws/executions/${id}`, ROOT);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("namespace", settings.namespace);
  if (after !== null) url.searchParams.set("after", String(after));
  return url;
}

/** How long to wait before a try, ±30 % so that many pages do not come back as one. */
export function backoff(tries, chance = Math.random()) {
  const base = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (tries - 1));
  return base * (0.7 + 0.6 * chance);
}
