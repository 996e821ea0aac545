/**
 * What the page knows of one execution: its state, its graph, its history, kept up by the socket.
 *
 * The history is loaded from the beginning in pages while the socket already brings what is new;
 * both meet by `seq`. Until it is whole, steps are drawn as the server tells them, afterwards as the
 * fold says: that also knows every earlier moment.
 */

import { get, at } from "../http.js";
import { follow } from "../live.js";
import { Fold } from "./fold.js";

const PAGE = 1_000;
/** What the socket owes has come by then; what has not is read. */
const MEND_MS = 1_500;
/** Of a longer history the page keeps this much and says so; the rest is the command line's. */
export const EVENTS_MAX = 200_000;

export class Execution extends EventTarget {
  constructor(id) {
    super();
    this.id = id;
    this.state = null;
    this.graph = null;
    this.fold = new Fold();
    this.connection = { phase: "connecting", tries: 0 };
    /** Events that came over the socket and not yet in turn. */
    this._early = [];
    this._abort = new AbortController();
    this.loaded = false;
    this._steps = {};
    this.heads = 0;
  }

  /** Load and follow; rejects where there is no such execution. */
  async open() {
    const [state, graph] = await Promise.all([
      get(at`workflows/${this.id}`, {}, this._abort.signal),
      get(at`workflows/${this.id}/graph`, {}, this._abort.signal),
    ]);
    this._state(state);
    this.graph = graph;
    this.fold = new Fold(graph);
    this._socket = follow(this.id, {
      state: (now) => this._state(now),
      event: (frame) => this._event(frame),
      notice: (notice) => this._notice(notice),
      end: (frame) => { if (this.state) this.state.status = frame.status; this._tell("state"); },
      connection: (connection) => { this.connection = connection; this._tell("connection"); },
    });
    this._load().catch((error) => this._failed(error));
  }

  stop() {
    this._abort.abort();
    this._socket?.stop();
  }

  /**
   * Steps as they are now: as the server says, which also knows what waits for capacity, with what
   * only the whole history tells, how many visits ended how.
   */
  get steps() {
    if (!this.loaded) return this._steps;
    const steps = this.fold.stepsAt(this.fold.seq);
    for (const [id, told] of Object.entries(this._steps)) if (told.visits) steps[id] = { ...steps[id], ...told };
    return steps;
  }

  get status() { return this.state?.status ?? "Pending"; }

  /** The seq up to which the server has told us that there is something. */
  get head() { return Math.max(this.heads, this.fold.seq); }

  /** How often an edge was taken, after `seq`. Needs are not in histories: they follow from both ends. */
  takenAt(edge, seq = this.fold.seq) {
    if (!this.loaded) return edge.traversed ?? 0;
    if (edge.kind !== "need") return this.fold.takenAt(edge.from, edge.to, seq);
    const from = this.fold.stepAt(edge.from, seq), to = this.fold.stepAt(edge.to, seq);
    return from?.status === "Completed" && to && to.status !== "Skipped" ? 1 : 0;
  }

  /**
   * Read on until nothing is missing. What was read may be older than the state with which the
   * socket begins: then what lies between came by neither way, and is read now.
   */
  async _load() {
    if (this._loading) return;
    this._loading = true;
    try {
      for (;;) {
        const before = this.fold.seq;
        await this._read();
        if (this.fold.seq >= Math.min(this.heads, EVENTS_MAX)) break;
        // A replica that is behind, or an answer out of a cache: not in a tight circle.
        if (this.fold.seq === before) await new Promise((go) => setTimeout(go, MEND_MS));
        if (this._abort.signal.aborted) return;
      }
    } finally {
      this._loading = false;
    }
    this.truncated = this.fold.seq >= EVENTS_MAX;
    this.loaded = !this.truncated;
    this._tell("history");
    this._tell("steps");
  }

  async _read() {
    for (;;) {
      const after = this.fold.seq;
      const page = await this._page(after);
      for (const event of page) if (event.seq === this.fold.seq + 1) this._book(event);
      this._tell("history");
      if (page.length < PAGE || this.fold.seq >= EVENTS_MAX) break;
      // The page stays alive: what is drawn and typed comes between two pages.
      await new Promise((go) => setTimeout(go));
    }
    this._catchUp();
  }

  /** Begin to read on, if something is missing. */
  _mend() {
    if (this._loading || this.truncated || this.fold.seq >= this.heads) return;
    this._load().catch((error) => this._failed(error));
  }

  _failed(error) {
    if (this._abort.signal.aborted) return;
    this.historyError = error;
    this._tell("history");
  }

  /** One page of history; while the server is away it is asked for again. */
  async _page(after) {
    for (let tries = 0; ; tries++) {
      try {
        return await get(at`workflows/${this.id}/history`, { after, limit: PAGE }, this._abort.signal);
      } catch (error) {
        if (!error.passing || this._abort.signal.aborted) throw error;
        await new Promise((go) => setTimeout(go, Math.min(5_000, 500 * 2 ** tries)));
      }
    }
  }

  _state(state) {
    this.state = state;
    this._steps = { ...state.steps };
    this.heads = Math.max(this.heads, state.seq ?? 0);
    this._tell("state");
    this._tell("steps");
    // Of a connection made again the missing events follow by themselves; of the first they do not.
    if (this.loaded) setTimeout(() => this._mend(), MEND_MS);
  }

  _event(frame) {
    this.heads = Math.max(this.heads, frame.seq);
    if (this.state && frame.seq > (this.state.seq ?? 0)) {
      this.state.seq = frame.seq;
      if (frame.status && frame.status !== this.state.status) {
        this.state.status = frame.status;
        this._tell("state");
      }
      Object.assign(this._steps, frame.changes ?? {});
    }
    if (frame.event.seq === this.fold.seq + 1) {
      this._book(frame.event);
      this._catchUp();
    } else if (frame.event.seq > this.fold.seq) {
      if (this._early.length < EVENTS_MAX) this._early.push(frame.event);
      this._mend();
    }
    if (frame.event.type.startsWith("execution.")) this._ended(frame.event);
    this._tell("steps");
    this._tell("history");
  }

  _ended(event) {
    if (!this.state) return;
    if (event.type === "execution.completed") this.state.output = event.output ?? null;
    if (event.failure) this.state.failure = event.failure;
    if (/completed|failed|canceled/.test(event.type)) this.state.ended_at = event.at_ms;
    if (event.type === "execution.retried") Object.assign(this.state, { run: event.run, ended_at: null, failure: null });
    if (event.type === "execution.migrated") {
      this.state.version = event.version;
      this._moved();
    }
    this._tell("state");
  }

  /** Another version may have other steps: the graph is read again, and the history folded anew over it. */
  async _moved() {
    try {
      const graph = await get(at`workflows/${this.id}/graph`, {}, this._abort.signal);
      this.graph = graph;
      this.fold = new Fold(graph);
      this.loaded = false;
      this._tell("graph");
      this._mend();
    } catch (error) {
      this._failed(error);
    }
  }

  _catchUp() {
    const early = this._early.sort((a, b) => a.seq - b.seq);
    this._early = [];
    for (const event of early) {
      if (event.seq === this.fold.seq + 1) this._book(event);
      else if (event.seq > this.fold.seq) this._early.push(event);
    }
  }

  _book(event) {
    if (this.fold.seq < EVENTS_MAX) this.fold.book(event);
  }

  _notice(notice) {
    const key = `${notice.scope}/${notice.step}/${notice.visit}`;
    const visit = this.fold.visits.get(key);
    if (!visit) return;
    // Lossy: what it says is drawn until an event says it for good.
    if (notice.kind === "progress") visit.progress = notice.data ?? null;
    else if (notice.kind === "started") {
      const attempt = visit.attempts.find((each) => each.attempt === notice.attempt);
      if (attempt && attempt.endedAt === null) attempt.startedAt ??= notice.at_ms;
    }
    this._tell("steps");
  }

  _tell(what) {
    this.dispatchEvent(new CustomEvent(what));
  }
}
