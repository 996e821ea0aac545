/**
 * A plain layered layout for large scopes: ranks by the longest way, two sweeps that put each step
 * near the middle of its neighbours, simply bent edges. Linear, where dagre is not. Pure.
 */

const GAP = 24;
const RANK_GAP = 64;

/**
 * @param {Map<string, {width: number, height: number}>} sizes
 * @param {{from: string, to: string}[]} lines
 * @param {"TB"|"LR"} direction
 */
export function ranked(sizes, lines, direction) {
  const ranks = rankOf(sizes, lines);
  const rows = [];
  for (const [id, rank] of ranks) (rows[rank] ??= []).push(id);
  order(rows, lines, ranks);
  return coordinates(rows, sizes, lines, direction);
}

/** The longest way from a root; edges that lead back, found while walking, do not count. */
function rankOf(sizes, lines) {
  const outs = new Map([...sizes.keys()].map((id) => [id, []]));
  const ins = new Map([...sizes.keys()].map((id) => [id, 0]));
  for (const { from, to } of lines) {
    if (from === to) continue;
    outs.get(from)?.push(to);
    ins.set(to, (ins.get(to) ?? 0) + 1);
  }
  const rank = new Map([...sizes.keys()].map((id) => [id, 0]));
  const left = new Map(ins), done = new Set();
  const queue = [...ins].filter(([, count]) => count === 0).map(([id]) => id);
  const all = [...sizes.keys()];
  for (let seen = 0, next = 0; seen < all.length;) {
    // Only circles are left: open one at its first step as written.
    if (!queue.length) {
      while (done.has(all[next])) next++;
      queue.push(all[next]);
    }
    const id = queue.shift();
    if (done.has(id)) continue;
    done.add(id);
    seen++;
    for (const to of outs.get(id)) {
      if (done.has(to)) continue;
      rank.set(to, Math.max(rank.get(to), rank.get(id) + 1));
      left.set(to, left.get(to) - 1);
      if (left.get(to) === 0) queue.push(to);
    }
  }
  return rank;
}

function order(rows, lines, ranks) {
  const near = new Map();
  for (const { from, to } of lines) {
    if (ranks.get(from) < ranks.get(to)) {
      (near.get(to) ?? near.set(to, []).get(to)).push(from);
      (near.get(from) ?? near.set(from, []).get(from)).push(to);
    }
  }
  const position = new Map();
  for (const row of rows) row.forEach((id, i) => position.set(id, i / row.length));
  const middle = (id) => {
    const all = near.get(id);
    return all ? all.reduce((sum, each) => sum + position.get(each), 0) / all.length : position.get(id);
  };
  for (const sweep of [rows, [...rows].reverse(), rows]) {
    for (const row of sweep) {
      const wanted = new Map(row.map((id) => [id, middle(id)]));
      row.sort((a, b) => wanted.get(a) - wanted.get(b));
      row.forEach((id, i) => position.set(id, i / row.length));
    }
  }
}

function coordinates(rows, sizes, lines, direction) {
  const down = direction === "TB";
  const along = (size) => (down ? size.width : size.height);
  const depth = (size) => (down ? size.height : size.width);
  const lengths = rows.map((row) => row.reduce((sum, id) => sum + along(sizes.get(id)) + GAP, -GAP));
  const widest = Math.max(0, ...lengths);
  const nodes = new Map();
  let at = 0;
  rows.forEach((row, i) => {
    const deep = Math.max(...row.map((id) => depth(sizes.get(id))));
    let side = (widest - lengths[i]) / 2;
    for (const id of row) {
      const size = along(sizes.get(id));
      const a = side + size / 2, b = at + deep / 2;
      nodes.set(id, down ? { x: a, y: b } : { x: b, y: a });
      side += size + GAP;
    }
    at += deep + RANK_GAP;
  });
  const total = Math.max(0, at - RANK_GAP);
  const half = (id) => depth(sizes.get(id)) / 2;
  const edges = lines.map(({ from, to }) => {
    const a = nodes.get(from), b = nodes.get(to);
    const [first, last] = down
      ? [{ x: a.x, y: a.y + half(from) }, { x: b.x, y: b.y - half(to) }]
      : [{ x: a.x + half(from), y: a.y }, { x: b.x - half(to), y: b.y }];
    const bend = (point, by) => (down ? { x: point.x, y: point.y + by } : { x: point.x + by, y: point.y });
    const points = [first, bend(first, RANK_GAP / 2.5), bend(last, -RANK_GAP / 2.5), last];
    return { points, label: { x: (first.x + last.x) / 2, y: (first.y + last.y) / 2 } };
  });
  return { width: down ? widest : total, height: down ? total : widest, nodes, edges };
}
