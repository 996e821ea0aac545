/**
 * A history as swimlanes: a lane for each step, a bar for each attempt. Pure.
 *
 * Bars that overlap go to rows of their lane; a lane that would need more than `ROWS_MAX` is folded
 * to its density, how many ran at each time, which is also what 10,000 items look like.
 */

import { title } from "../graph/layout.js";

export const ROWS_MAX = 6;
const LANE = { row: 15, gap: 3, padding: 9, density: 44 };
const DENSITY_BINS = 400;

/**
 * @typedef {{start: number, run: number|null, end: number|null, outcome: string, visit: any, attempt: number, row: number}} Bar
 *   `start`: due; `run`: at a runner since; `end` null: still going on
 * @typedef {{step: string, title: string, type: string, depth: number, bars: Bar[], rows: number, density: {total: Float64Array, failed: Float64Array, most: number, peak: number}|null, y: number, height: number}} Lane
 */

/**
 * @param {number} now where what goes on reaches to
 * @param {number|null} endedAt of the execution
 * @returns {{lanes: Lane[], height: number, from: number, to: number}}
 */
export function lanesOf(graph, fold, now, endedAt = null) {
  const from = fold.startedAt ?? now;
  const to = Math.max(from + 1, endedAt ?? now, fold.endedAt ?? from);
  let y = 0;
  const lanes = ordered(graph).map(({ node, depth }) => {
    const bars = barsOf(fold, node.id);
    const rows = pack(bars, to);
    const folded = rows > ROWS_MAX;
    const height = folded ? LANE.density : LANE.padding * 2 + Math.max(1, rows) * (LANE.row + LANE.gap) - LANE.gap;
    const lane = { step: node.id, title: title(node), type: node.type, depth, bars, rows: folded ? 0 : Math.max(1, rows), density: folded ? density(bars, from, to) : null, from, to, y, height };
    y += height;
    return lane;
  });
  return { lanes, height: y, from, to };
}

export const ROW_HEIGHT = LANE.row;
export const ROW_STEP = LANE.row + LANE.gap;
export const LANE_PADDING = LANE.padding;

/** Steps as written, those within a step behind it. */
export function ordered(graph) {
  const inner = new Map();
  for (const scope of graph.scopes) if (scope.step) inner.set(scope.step, [...(inner.get(scope.step) ?? []), scope.id]);
  const byScope = new Map(graph.scopes.map((scope) => [scope.id, []]));
  for (const node of graph.nodes) byScope.get(node.scope)?.push(node);
  const found = [];
  const walk = (scope, depth) => {
    for (const node of byScope.get(scope) ?? []) {
      found.push({ node, depth });
      for (const each of inner.get(node.id) ?? []) walk(each, depth + 1);
    }
  };
  for (const scope of graph.scopes) if (!scope.step) walk(scope.id, 0);
  return found;
}

function barsOf(fold, step) {
  const bars = [];
  for (const visit of fold.byStep.get(step) ?? []) {
    if (visit.items && (fold.byForeach.get(visit.key)?.length ?? 0) > 0) {
      for (const item of fold.byForeach.get(visit.key)) add(bars, item);
    } else add(bars, visit);
  }
  return bars.sort((a, b) => a.start - b.start);
}

function add(bars, visit) {
  for (const attempt of visit.attempts) {
    const end = attempt.endedAt ?? visit.endedAt;
    bars.push({ start: attempt.queuedAt, run: attempt.startedAt, end, outcome: attempt.outcome ?? visit.status, visit, attempt: attempt.attempt, row: 0 });
  }
  if (!visit.attempts.length) bars.push({ start: visit.openedAt, run: null, end: visit.endedAt, outcome: visit.status, visit, attempt: 1, row: 0 });
}

/** Give each bar the first row that is free; how many rows that takes, or one more than drawn. */
function pack(bars, to) {
  const free = [];
  for (const bar of bars) {
    let row = free.findIndex((until) => until <= bar.start);
    if (row < 0) row = free.length;
    if (row >= ROWS_MAX) return ROWS_MAX + 1;
    free[row] = Math.max(bar.end ?? to, bar.start + 1);
    bar.row = row;
  }
  return free.length;
}

/** How many bars cover each bin of time, and how many of them failed in it. */
function density(bars, from, to) {
  const total = new Float64Array(DENSITY_BINS + 1), failed = new Float64Array(DENSITY_BINS);
  const bin = (ms) => Math.max(0, Math.min(DENSITY_BINS - 1, Math.floor(((ms - from) / (to - from)) * DENSITY_BINS)));
  for (const bar of bars) {
    total[bin(bar.start)] += 1;
    total[bin(bar.end ?? to) + 1] -= 1;
    if (bar.outcome === "Failed" || bar.outcome === "Lost") failed[bin(bar.end ?? to)] += 1;
  }
  let most = 1;
  for (let i = 1; i < total.length; i++) total[i] += total[i - 1];
  for (const each of total) most = Math.max(most, each);
  return { total, failed, most, peak: peak(bars, to) };
}

/** How many lasted at one instant, of those that lasted at all: what shares a bin may have been one
    after the other. */
function peak(bars, to) {
  const edges = [];
  for (const bar of bars) if ((bar.end ?? to) > bar.start) edges.push([bar.start, 1], [bar.end ?? to, -1]);
  edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let now = 0, most = 0;
  for (const [, change] of edges) most = Math.max(most, (now += change));
  return most;
}

/** The bar at a place of a lane, for pointing at it; `slack` ms for narrow ones. */
export function barAt(lane, ms, y, slack, to) {
  if (lane.density) return null;
  const row = Math.floor((y - lane.y - LANE.padding) / ROW_STEP);
  let found = null;
  for (const bar of lane.bars) {
    if (bar.start - slack > ms) break;
    if (bar.row === row && (bar.end ?? to) + slack >= ms) found = bar;
  }
  return found;
}
