/**
 * A history, folded: what each visit of each step did, and what each step looked like at every
 * moment. Pure: no DOM, no clock. It books events and never decides, like the fold of the kernel,
 * of which it keeps just what is drawn.
 *
 * Visits are known by `scope/step/visit`. Scope instances form a tree: each belongs to the visit
 * that opened it, so that what closes takes along what is within it.
 */

import { Tally } from "./summary.js";

/**
 * @typedef {Object} Attempt
 * @property {number} attempt from 1
 * @property {number} queuedAt ms, when it became due
 * @property {number|null} startedAt ms, when a runner began; null while unknown
 * @property {number|null} endedAt
 * @property {string|null} outcome Completed, Failed, Lost, Canceled; null while it goes on
 * @property {any} [failure]
 * @property {string} [stdout] @property {string} [stderr] @property {string} [runner]
 */

/**
 * @typedef {Object} Visit
 * @property {string} key @property {string} step @property {number} scope @property {number} visit
 * @property {number|null} item its index, if it is an item of a `foreach`
 * @property {string} status @property {number} openedAt @property {number|null} endedAt
 * @property {any} input @property {any} output @property {any} failure
 * @property {number|null} width of a `foreach`: how many items
 * @property {{active: number, completed: number, failed: number, canceled: number}|null} items
 * @property {Attempt[]} attempts
 * @property {number|null} retryAt @property {any[]} notes what people and messages did
 */

const ENDED = new Set(["Completed", "Failed", "Canceled", "Skipped"]);
const WAITS = new Set(["wait", "timer", "human"]);

export class Fold {
  /** @param {any} [graph] says of each step what it is, and in a DAG what needs it */
  constructor(graph = { nodes: [], edges: [], scopes: [] }) {
    this.types = new Map(graph.nodes.map((node) => [node.id, node.type]));
    this.graph = graph;
    /** @type {any[]} events, of `seq` 1, 2, … */
    this.events = [];
    /** @type {Map<string, Visit>} */
    this.visits = new Map();
    /** @type {Map<string, Visit[]>} in the order in which they opened; items not among them */
    this.byStep = new Map();
    /** @type {Map<string, Visit[]>} items, by the key of their `foreach` */
    this.byForeach = new Map();
    /** scope instance → the visit that opened it, the branch or item, and the visits in it */
    this.scopes = new Map([[1, { owner: null, index: null, visits: [] }]]);
    /** @type {Map<string, {seq: number, step: any}[]>} what each step became, and when */
    this.changes = new Map();
    /** @type {Map<string, number[]>} `from>to` → the seqs at which that edge was taken */
    this.taken = new Map();
    /** @type {{seq: number, status: string}[]} */
    this.statuses = [];
    this.status = "Pending";
    /** @type {Map<string, Tally>} */
    this.tallies = new Map();
    /** @type {number[]} never falling, for finding a moment */
    this.times = [];
    this._touched = new Set();
  }

  get seq() { return this.events.length; }
  get startedAt() { return this.times[0] ?? null; }
  get endedAt() { return this.times[this.times.length - 1] ?? null; }

  /** Book the next event. Its `seq` is the one after the last. */
  book(event) {
    if (event.seq !== this.seq + 1) throw new Error(`event ${event.seq} follows ${this.seq}`);
    this.events.push(event);
    this.times.push(Math.max(event.at_ms, this.endedAt ?? 0));
    BOOKINGS[event.type]?.(this, event);
    for (const edge of event.taken ?? []) this._take(edge, event.seq);
    for (const each of event.activated ?? []) this._open(each, event);
    for (const step of this._touched) this._changed(step, event.seq);
    this._touched.clear();
  }

  /** The step's summary after `seq`; null where it had done nothing. */
  stepAt(step, seq) {
    const changes = this.changes.get(step);
    if (!changes) return null;
    const index = lastAtMost(changes, seq, (change) => change.seq);
    return index < 0 ? null : changes[index].step;
  }

  /** All steps that had done something after `seq`. @returns {Record<string, any>} */
  stepsAt(seq) {
    const steps = {};
    for (const step of this.changes.keys()) {
      const at = this.stepAt(step, seq);
      if (at) steps[step] = at;
    }
    return steps;
  }

  /** How often an edge had been taken after `seq`. */
  takenAt(from, to, seq) {
    const seqs = this.taken.get(`${from}>${to}`);
    return seqs ? lastAtMost(seqs, seq, (each) => each) + 1 : 0;
  }

  /** The execution's status after `seq`. */
  statusAt(seq) {
    const index = lastAtMost(this.statuses, seq, (change) => change.seq);
    return index < 0 ? "Pending" : this.statuses[index].status;
  }

  /** The last event that had happened at an instant; 0 before the first. */
  seqAt(ms) {
    return lastAtMost(this.times, ms, (each) => each) + 1;
  }

  // what events do

  _open(opened, event) {
    const scope = this._scope(opened.scope);
    const foreach = opened.parent ? this._foreachOf(opened) : null;
    const visit = {
      key: keyOf(opened), step: opened.step, scope: opened.scope, visit: opened.visit,
      item: foreach ? scope.index : null, foreach,
      status: "Pending", openedAt: event.at_ms, endedAt: null,
      input: opened.input, output: undefined, failure: opened.failure ?? null,
      width: opened.width ?? null, dueAt: opened.due_at_ms ?? null, deadlineAt: opened.deadline_at_ms ?? null,
      items: opened.width != null ? { active: 0, completed: 0, failed: 0, canceled: 0 } : null,
      attempts: [], retryAt: null, notes: [], seq: event.seq,
    };
    const earlier = this.visits.get(visit.key);
    if (earlier) this._reopen(earlier, visit, event);
    else this._enter(visit, scope);
    const kept = earlier ?? visit;
    if (opened.width != null) this._scopesOf(kept, opened.first_scope, opened.width);
    else if (opened.first_scope != null) this._scopesOf(kept, opened.first_scope, Math.max(1, opened.variables?.length ?? 1));
    if (opened.skipped) this._settle(kept, "Skipped", event);
    else {
      this._status(kept, this._begins(kept));
      if (!kept.items) this._attempt(kept, nextAttempt(kept), event.at_ms);
    }
  }

  _begins(visit) {
    return WAITS.has(this.types.get(visit.step)) ? "Waiting" : "Running";
  }

  _enter(visit, scope) {
    this.visits.set(visit.key, visit);
    scope.visits.push(visit);
    if (visit.foreach) push(this.byForeach, visit.foreach.key, visit);
    else {
      push(this.byStep, visit.step, visit);
      this._tally(visit.step).entered(visit);
    }
  }

  /** A retry of the execution opens a visit again, as it was. */
  _reopen(visit, anew, event) {
    this._status(visit, "Pending");
    Object.assign(visit, { endedAt: null, failure: null, output: undefined, retryAt: null, openedAt: visit.openedAt });
    if (anew.width != null) visit.width = anew.width;
    visit.notes.push({ seq: event.seq, at: event.at_ms, text: "opened again" });
  }

  _foreachOf(opened) {
    const owner = this._scope(opened.scope).owner;
    return owner?.items ? owner : this.visits.get(`${opened.parent[0]}/${opened.step}/${opened.parent[2]}`) ?? null;
  }

  _scopesOf(owner, first, number) {
    for (let index = 0; index < number; index++) {
      const scope = this._scope(first + index);
      scope.owner = owner;
      scope.index = index;
    }
    owner.firstScope = first;
    owner.scopeCount = number;
  }

  _scope(number) {
    let scope = this.scopes.get(number);
    if (!scope) this.scopes.set(number, (scope = { owner: null, index: null, visits: [] }));
    return scope;
  }

  _attempt(visit, number, at) {
    const attempt = { attempt: number, queuedAt: at, startedAt: null, endedAt: null, outcome: null };
    visit.attempts.push(attempt);
    return attempt;
  }

  /** The attempt of an address; one that no event announced is made, as after a loss. */
  attemptAt(visit, address, at) {
    return visit.attempts.find((each) => each.attempt === address.attempt) ?? this._attempt(visit, address.attempt, at);
  }

  _end(visit, event, outcome) {
    const attempt = this.attemptAt(visit, event.at, event.at_ms);
    if (event.started_at_ms != null) attempt.startedAt = event.started_at_ms;
    attempt.endedAt = event.started_at_ms != null && event.elapsed_ms != null ? event.started_at_ms + event.elapsed_ms : event.at_ms;
    attempt.outcome = outcome;
    const failure = event.failure ?? event.recovered ?? null;
    if (failure) attempt.failure = failure;
    attempt.stdout = event.stdout ?? failure?.stdout ?? attempt.stdout;
    attempt.stderr = event.stderr ?? failure?.stderr ?? attempt.stderr;
    attempt.runner = event.runner ?? attempt.runner;
    return attempt;
  }

  /** The one place where a visit's status changes, so that the counts of its `foreach` are right. */
  _status(visit, status) {
    const tally = this._tally(visit.step);
    if (!visit.foreach) tally.moved(visit.status, status);
    else if (visit.foreach.items) {
      const from = bucket(visit.status), to = bucket(status);
      if (from !== to) {
        if (from) visit.foreach.items[from] -= 1;
        if (to) visit.foreach.items[to] += 1;
        tally.item(from, to);
      }
    }
    visit.status = status;
    this._touched.add(visit.step);
  }

  _settle(visit, status, event) {
    if (ENDED.has(visit.status)) return;
    this._status(visit, status);
    visit.endedAt = event.at_ms;
    visit.retryAt = null;
    for (const attempt of visit.attempts) {
      if (attempt.outcome === null) Object.assign(attempt, { endedAt: attempt.endedAt ?? event.at_ms, outcome: status === "Completed" ? "Completed" : status === "Failed" ? "Failed" : "Canceled" });
    }
    if (visit.firstScope != null && status !== "Completed") this._withdraw(visit, event);
  }

  /** End what is still open within a visit's scopes. */
  _withdraw(visit, event, fallen = false) {
    for (let number = visit.firstScope; number < visit.firstScope + visit.scopeCount; number++) this.closeScope(number, event, fallen);
  }

  /** `fallen`: withdrawn by a failure, which a retry of the execution takes back. */
  closeScope(number, event, fallen = false) {
    for (const visit of this.scopes.get(number)?.visits ?? []) {
      if (ENDED.has(visit.status)) continue;
      // Inner ones first: settling a visit would withdraw them for good.
      if (visit.firstScope != null) this._withdraw(visit, event, fallen);
      this._settle(visit, "Canceled", event);
      visit.fallen = fallen;
    }
  }

  /** A retry from where it failed: what failed, and what that withdrew, goes on with its inputs. */
  restore(number, event) {
    for (const visit of this.scopes.get(number)?.visits ?? []) {
      if (!visit.fallen) continue;
      Object.assign(visit, { fallen: false, endedAt: null, failure: null, retryAt: null });
      this._status(visit, this._begins(visit));
      note(visit, event, "goes on in a new run");
      if (visit.firstScope == null) this._attempt(visit, nextAttempt(visit), event.at_ms);
      else for (let inner = visit.firstScope; inner < visit.firstScope + visit.scopeCount; inner++) this.restore(inner, event);
    }
  }

  /** A retry from a step of a DAG: it and all that depends on it is as if it had not run. */
  startOver(step) {
    const root = this.graph.scopes.find((scope) => scope.parent === null);
    if (root?.notation !== "dag") return;
    const again = new Set();
    for (const waiting = [step]; waiting.length;) {
      const next = waiting.pop();
      if (again.has(next)) continue;
      again.add(next);
      for (const edge of this.graph.edges) if (edge.kind === "need" && edge.from === next) waiting.push(edge.to);
    }
    for (const each of again) {
      this._tally(each).forget();
      this._touched.add(each);
    }
  }

  _take(edge, seq) {
    push(this.taken, `${edge.from ?? ""}>${edge.to}`, seq);
  }

  _runs(status, event) {
    this.status = status;
    this.statuses.push({ seq: event.seq, status });
  }

  _changed(step, seq) {
    push(this.changes, step, { seq, step: this._tally(step).summary() });
  }

  _tally(step) {
    let tally = this.tallies.get(step);
    if (!tally) this.tallies.set(step, (tally = new Tally()));
    return tally;
  }
}

/** What each type of event does to the fold; the visits it opens and the edges it took aside. */
const BOOKINGS = {
  "execution.started": (fold, event) => fold._runs(event.failure ? "Failed" : "Running", event),
  "step.completed": (fold, event) => completed(fold, event),
  "step.failed": (fold, event) => failed(fold, event),
  "step.skipped": (fold, event) => withVisit(fold, event, (visit) => fold._settle(visit, "Skipped", event)),
  "attempt.started": (fold, event) => withVisit(fold, event, (visit) => { fold.attemptAt(visit, event.at, event.at_ms).startedAt ??= event.at_ms; }),
  "attempt.failed": (fold, event) => withVisit(fold, event, (visit) => {
    fold._end(visit, event, "Failed");
    visit.retryAt = event.retry_at_ms;
    visit.failure = event.failure;
    fold._status(visit, "Waiting");
  }),
  "attempt.retry_due": (fold, event) => withVisit(fold, event, (visit) => {
    fold.attemptAt(visit, event.at, event.at_ms);
    visit.retryAt = null;
    fold._status(visit, fold._begins(visit));
  }),
  "attempt.lost": (fold, event) => withVisit(fold, event, (visit) => {
    Object.assign(fold.attemptAt(visit, event.at, event.at_ms), { endedAt: event.at_ms, outcome: "Lost", failure: { type: "RunnerLost", message: event.cause } });
    fold._attempt(visit, event.at.attempt + 1, event.at_ms);
    fold._touched.add(visit.step);
  }),
  "attempt.stopping": (fold, event) => withVisit(fold, event, (visit) => note(visit, event, `told to stop: ${event.failure.type}`)),
  "attempt.ended": (fold, event) => withVisit(fold, event, (visit) => {
    const attempt = fold.attemptAt(visit, event.at, event.at_ms);
    Object.assign(attempt, { endedAt: event.at_ms, outcome: "Canceled" });
    if (event.returned) visit.output = event.output ?? null;
    fold._touched.add(visit.step);
  }),
  "scopes.opened": (fold, event) => withVisit(fold, event, (visit) => fold._scopesOf(visit, event.first_scope, Math.max(1, event.variables?.length ?? 1))),
  "branch.failed": (fold, event) => fold.closeScope(event.scope, event, true),
  "scope.closing": (fold, event) => {
    const fallen = Boolean(event.failure);
    if (event.step == null) return fold.closeScope(event.scope, event, fallen);
    const visit = fold.visits.get(`${event.scope}/${event.step}/${event.visit}`);
    if (visit?.firstScope != null) fold._withdraw(visit, event, fallen);
  },
  "region.canceling": (fold, event) => {
    for (const address of event.withdrawn ?? []) {
      const visit = fold.visits.get(keyOf(address));
      if (visit) fold._settle(visit, "Canceled", event);
    }
    skip(fold, event);
  },
  "task.opened": (fold, event) => withVisit(fold, event, (visit) => { visit.failure = event.failure; fold._status(visit, "Waiting"); note(visit, event, "asks a person how to go on"); }),
  "task.claimed": (fold, event) => withVisit(fold, event, (visit) => note(visit, event, `claimed by ${event.user}`)),
  "task.released": (fold, event) => withVisit(fold, event, (visit) => note(visit, event, "given back")),
  "task.assigned": (fold, event) => withVisit(fold, event, (visit) => note(visit, event, "given to others")),
  "task.progressed": (fold, event) => withVisit(fold, event, (visit) => note(visit, event, `${event.progress ?? "?"} % by ${event.user}`)),
  "task.failed": (fold, event) => withVisit(fold, event, (visit) => note(visit, event, `given up by ${event.user}`)),
  "metadata.changed": () => {},
  "property.violated": () => {},
  "owner.changed": (fold, event) => {
    for (const address of event.reissued ?? []) {
      const visit = fold.visits.get(keyOf(address));
      if (visit) note(visit, event, "may have run twice: a new owner made the attempt again");
    }
  },
  "execution.paused": (fold, event) => fold._runs("Paused", event),
  "execution.resumed": (fold, event) => fold._runs("Running", event),
  "execution.retried": (fold, event) => {
    if (event.from_step == null) fold.restore(1, event);
    else fold.startOver(event.from_step);
    fold._runs("Running", event);
  },
  "execution.migrated": () => {},
  "execution.completed": (fold, event) => ended(fold, event, "Completed"),
  "execution.failed": (fold, event) => ended(fold, event, "Failed"),
  "execution.canceled": (fold, event) => ended(fold, event, "Canceled"),
};

function completed(fold, event) {
  withVisit(fold, event, (visit) => {
    if (!event.collected) fold._end(visit, event, event.recovered ? "Failed" : "Completed");
    visit.output = event.collected ? undefined : event.output ?? null;
    visit.failure = event.recovered ?? null;
    fold._settle(visit, "Completed", event);
    if (visit.firstScope != null) fold._withdraw(visit, event);
    skip(fold, event);
  });
}

function failed(fold, event) {
  withVisit(fold, event, (visit) => {
    if (!visit.items) fold._end(visit, event, "Failed");
    visit.failure = event.failure;
    visit.fallen = !event.taken?.length && !event.tolerated;
    if (visit.firstScope != null) fold._withdraw(visit, event, visit.fallen);
    fold._settle(visit, "Failed", event);
  });
}

/** Steps of a DAG that a cancelling step kept from starting. */
function skip(fold, event) {
  for (const step of event.skipped ?? []) {
    if (!fold.visits.has(`${event.at.scope}/${step}/1`)) fold._open({ scope: event.at.scope, step, visit: 1, skipped: true }, event);
  }
}

function ended(fold, event, status) {
  // The root, and the scopes of handlers' own actions, which belong to no visit.
  for (const [number, scope] of fold.scopes) if (!scope.owner) fold.closeScope(number, event, status === "Failed");
  fold._runs(status, event);
}

function withVisit(fold, event, book) {
  const visit = fold.visits.get(keyOf(event.at));
  if (visit) book(visit);
}

function note(visit, event, text) {
  visit.notes.push({ seq: event.seq, at: event.at_ms, text });
}

const keyOf = (at) => `${at.scope}/${at.step}/${at.visit}`;

function nextAttempt(visit) {
  return visit.attempts.length ? visit.attempts[visit.attempts.length - 1].attempt + 1 : 1;
}

/** Where a `foreach` counts an item. */
function bucket(status) {
  if (status === "Running" || status === "Waiting") return "active";
  if (status === "Completed" || status === "Failed" || status === "Canceled") return status.toLowerCase();
  return status === "Skipped" ? "canceled" : null;
}

function push(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/** The last index whose key is at most `limit`, in a sorted list; -1 if there is none. */
export function lastAtMost(list, limit, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
