/**
 * A step in short, over all its visits, in the shape that the interface tells it (`Step`), with a
 * `tally` of its visits by status beside it. Kept up with each change, never counted again: a step in
 * a body of 10,000 items has 10,000 visits.
 */

/** In this order a step is what its most pressing visit is; of ended ones, the latest counts. */
const ACTIVE = ["Running", "Waiting", "Pending"];

export class Tally {
  constructor() {
    this.visits = 0;
    /** @type {Record<string, number>} visits by status */
    this.statuses = {};
    /** @type {import("./fold.js").Visit|null} */
    this.last = null;
    this.items = null;
    /** @type {string|null} how the visit went that ended last */
    this.ended = null;
    this.forgotten = false;
  }

  entered(visit) {
    // Items are those of the visits that are open, and of those that ended since none was.
    if (!ACTIVE.some((status) => this.statuses[status] > 0)) this.items = null;
    this.visits += 1;
    this.last = visit;
    this.moved(null, visit.status);
    if (visit.items) this.widen(visit.width);
  }

  /** As if it had not run, but for its visits. */
  forget() {
    if (!ACTIVE.some((status) => this.statuses[status] > 0)) this.forgotten = true;
  }

  moved(from, to) {
    this.forgotten = false;
    if (from) this.statuses[from] -= 1;
    this.statuses[to] = (this.statuses[to] ?? 0) + 1;
    if (!ACTIVE.includes(to)) this.ended = to;
  }

  widen(width) {
    this.items ??= { total: 0, active: 0, completed: 0, failed: 0, canceled: 0 };
    this.items.total += width;
  }

  item(from, to) {
    if (!this.items) return;
    if (from) this.items[from] -= 1;
    if (to) this.items[to] += 1;
  }

  /** As it is now; the result is the caller's own. */
  summary() {
    const last = this.last;
    if (!last) return { status: "Pending", visits: 0, attempt: 0 };
    if (this.forgotten) return { status: "Pending", visits: this.visits, attempt: 0 };
    const status = ACTIVE.find((each) => this.statuses[each] > 0) ?? this.ended ?? "Pending";
    const summary = { status, visits: this.visits, attempt: last.attempts[last.attempts.length - 1]?.attempt ?? 1 };
    if (this.items) summary.items = { ...this.items };
    if (last.failure) summary.error = { type: last.failure.type, message: last.failure.message };
    summary.tally = { ...this.statuses };
    summary.started_at_ms = last.openedAt;
    if (last.endedAt !== null) summary.ended_at_ms = last.endedAt;
    return summary;
  }
}
