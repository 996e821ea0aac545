/**
 * Places a definition's graph: each scope as a layered graph of its own, innermost first; a step
 * that owns scopes is a box as large as they need. Edges never leave their scope, so nothing has to
 * be routed around a box from the inside.
 *
 * Pure: sizes are estimated from the text and not measured, so that the same graph is placed the
 * same everywhere.
 */

import dagre from "../../vendor/dagre/dagre.esm.js";
import { ranked } from "./ranks.js";

/** Above this many steps or edges in one scope dagre takes seconds; `ranks.js` is plainer and linear. */
export const DAGRE_NODES_MAX = 150;
const DAGRE_EDGES_MAX = 300;

export const SIZES = {
  leaf: { height: 48, minWidth: 168, maxWidth: 248, perChar: 7.3, around: 84 },
  foreachLeaf: 64,
  header: 44,
  padding: 16,
  branchHeader: 26,
  branchGap: 14,
  dot: 14,
  label: { height: 18, perChar: 6.35, around: 14, maxChars: 26 },
};

/**
 * @typedef {Object} Placed
 * @property {number} width @property {number} height
 * @property {{id: string, node: any, x: number, y: number, width: number, height: number, depth: number, folded: boolean}[]} nodes top left
 * @property {{scope: any, x: number, y: number, width: number, height: number}[]} branches boxes of branches and handlers
 * @property {{edge: any, points: {x: number, y: number}[], label: {x: number, y: number, text: string}|null}[]} edges
 * @property {{kind: "start"|"end", x: number, y: number}[]} dots centres
 */

/**
 * @param {any} graph as the interface tells it
 * @param {{direction?: "TB"|"LR", inner?: "TB"|"LR", folded?: Set<string>}} [options] `inner`: within
 *   boxes, if not as outside; `folded`: boxes drawn closed
 * @returns {Placed}
 */
export function layout(graph, { direction = "TB", inner: within = direction, folded = new Set() } = {}) {
  const index = indexed(graph);
  const root = graph.scopes.find((scope) => scope.parent === null) ?? { id: 0 };
  const whole = place(root, index, { direction, inner: within, folded, depth: 0 });
  const handlers = graph.scopes.filter((scope) => scope.parent === root.id && !scope.step);
  let y = whole.height;
  for (const scope of handlers) {
    const inner = place(scope, index, { direction, inner: within, folded, depth: 1 });
    const box = { scope, x: 0, y: y + 28, width: inner.width + 2 * SIZES.padding, height: inner.height + SIZES.branchHeader + SIZES.padding };
    move(inner, SIZES.padding, box.y + SIZES.branchHeader);
    join(whole, inner);
    whole.branches.push(box);
    y = box.y + box.height;
    whole.width = Math.max(whole.width, box.width);
  }
  whole.height = y;
  return whole;
}

function indexed(graph) {
  const nodes = new Map(), edges = new Map(), owned = new Map();
  for (const scope of graph.scopes) {
    nodes.set(scope.id, []);
    edges.set(scope.id, []);
    if (scope.step) owned.set(scope.step, [...(owned.get(scope.step) ?? []), scope]);
  }
  for (const node of graph.nodes) nodes.get(node.scope)?.push(node);
  for (const edge of graph.edges) edges.get(edge.scope)?.push(edge);
  return { nodes, edges, owned };
}

/** One scope, with all that is within it; its own corner is (0, 0). @returns {Placed} */
function place(scope, index, options) {
  const nodes = index.nodes.get(scope.id) ?? [];
  const edges = index.edges.get(scope.id) ?? [];
  const boxes = new Map(nodes.map((node) => [node.id, box(node, index, options)]));
  const dots = dotsOf(scope, nodes, edges);
  const lines = [...edges.map((edge) => ({ edge, from: edge.from, to: edge.to === "end" ? "\0end" : edge.to })), ...dots.edges];
  const sizes = new Map([...boxes].map(([id, each]) => [id, { width: each.width, height: each.height }]));
  for (const dot of dots.ids) sizes.set(dot, { width: SIZES.dot, height: SIZES.dot });
  const arranged = nodes.length > DAGRE_NODES_MAX || lines.length > DAGRE_EDGES_MAX
    ? ranked(sizes, lines, options.direction)
    : layered(sizes, lines, options.direction);

  const placed = { width: arranged.width, height: arranged.height, nodes: [], branches: [], edges: [], dots: [] };
  for (const node of nodes) {
    const at = arranged.nodes.get(node.id), own = boxes.get(node.id);
    const x = at.x - own.width / 2, y = at.y - own.height / 2;
    placed.nodes.push({ id: node.id, node, x, y, width: own.width, height: own.height, depth: options.depth, folded: own.folded });
    for (const inner of own.inner) {
      move(inner, x, y);
      join(placed, inner);
    }
    for (const branch of own.branches) placed.branches.push({ ...branch, x: branch.x + x, y: branch.y + y });
  }
  for (const id of dots.ids) {
    const at = arranged.nodes.get(id);
    placed.dots.push({ kind: id === "\0end" ? "end" : "start", x: at.x, y: at.y });
  }
  lines.forEach((line, i) => {
    const route = arranged.edges[i];
    const text = labelOf(line.edge);
    placed.edges.push({ edge: line.edge, points: route.points, label: text && route.label ? { ...route.label, text } : null });
  });
  return placed;
}

/** The size of a step, with what is inside it placed relative to its corner. */
function box(node, index, options) {
  const scopes = index.owned.get(node.id) ?? [];
  const folded = options.folded.has(node.id);
  if (!scopes.length || folded) {
    return { ...leafSize(node), inner: [], branches: [], folded: folded && scopes.length > 0 };
  }
  const inside = { ...options, direction: options.inner, depth: options.depth + 1 };
  if (scopes.length === 1 && !scopes[0].name) {
    const inner = place(scopes[0], index, inside);
    move(inner, SIZES.padding, SIZES.header);
    const width = Math.max(inner.width + 2 * SIZES.padding, headerWidth(node));
    move(inner, (width - inner.width) / 2 - SIZES.padding, 0);
    return { width, height: inner.height + SIZES.header + SIZES.padding, inner: [inner], branches: [], folded: false };
  }
  return branchBoxes(node, scopes, index, inside);
}

/** A parallel step: its branches side by side, or one below the other where all runs to the right. */
function branchBoxes(node, scopes, index, options) {
  const across = options.direction === "TB";
  const inner = [], branches = [];
  let x = SIZES.padding, y = SIZES.header, width = 0, height = 0;
  for (const scope of scopes) {
    const placed = place(scope, index, options);
    const own = { scope, x, y, width: Math.max(placed.width + 2 * 14, 120), height: placed.height + SIZES.branchHeader + 14 };
    move(placed, x + (own.width - placed.width) / 2, y + SIZES.branchHeader);
    inner.push(placed);
    branches.push(own);
    if (across) x += own.width + SIZES.branchGap;
    else y += own.height + SIZES.branchGap;
    width = Math.max(width, own.x + own.width);
    height = Math.max(height, own.y + own.height);
  }
  for (const branch of branches) {
    if (across) branch.height = height - branch.y;
    else branch.width = width - branch.x;
  }
  return { width: Math.max(width + SIZES.padding, headerWidth(node)), height: height + SIZES.padding, inner, branches, folded: false };
}

function leafSize(node) {
  const { minWidth, maxWidth, perChar, around, height } = SIZES.leaf;
  const wanted = title(node).length * perChar + around;
  return { width: Math.round(Math.min(maxWidth, Math.max(minWidth, wanted))), height: node.foreach ? SIZES.foreachLeaf : height };
}

function headerWidth(node) {
  return title(node).length * SIZES.leaf.perChar + (node.foreach ? 260 : 130);
}

/** What a step is called for people: its name, else its id. */
export function title(node) {
  return node.name || node.id;
}

/** As wide as its letters of a fixed width, and a little around them. */
export const labelWidth = (text) => text.length * SIZES.label.perChar + SIZES.label.around;

/** A token's way in and its explicit ends, where the scope is a state machine. */
function dotsOf(scope, nodes, edges) {
  const ids = [], lines = [];
  if (edges.some((edge) => edge.to === "end")) ids.push("\0end");
  if (scope.parent === null && nodes.length) {
    ids.push("\0start");
    const reached = new Set(edges.map((edge) => edge.to));
    const marked = nodes.filter((node) => node.entry);
    const entries = marked.length ? marked : nodes.filter((node) => !reached.has(node.id));
    for (const node of entries) lines.push({ edge: { from: "\0start", to: node.id, kind: "start", scope: scope.id }, from: "\0start", to: node.id });
  }
  return { ids, edges: lines };
}

export function labelOf(edge) {
  if (edge.kind !== "else" && !edge.label) return null;
  // `$.steps.read.output` is `read.output` to a reader who has the graph before them.
  const text = edge.kind === "else" ? "else" : edge.label.replace(/\$\.(steps\.)?/g, "");
  const { maxChars } = SIZES.label;
  return text.length > maxChars ? `${text.slice(0, maxChars - 1)}…` : text;
}

/** One flat layered graph, by dagre. */
function layered(sizes, lines, direction) {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: direction, nodesep: 26, edgesep: 16, ranksep: direction === "TB" ? 26 : 44, marginx: 2, marginy: 2 });
  for (const [id, size] of sizes) graph.setNode(id, { ...size });
  lines.forEach((line, i) => {
    const text = labelOf(line.edge);
    const label = text ? { width: labelWidth(text), height: SIZES.label.height, labelpos: "c" } : { width: 0, height: 0 };
    graph.setEdge(line.from, line.to, { ...label, minlen: 1, weight: line.edge.kind === "error" ? 1 : 2 }, String(i));
  });
  dagre.layout(graph);
  const { width, height } = graph.graph();
  const finite = (size) => (Number.isFinite(size) ? size : 0);
  return {
    width: finite(width), height: finite(height),
    nodes: new Map([...sizes.keys()].map((id) => [id, graph.node(id)])),
    edges: lines.map((line, i) => {
      const route = graph.edge(line.from, line.to, String(i));
      return { points: route.points, label: route.x === undefined ? null : { x: route.x, y: route.y } };
    }),
  };
}

function move(placed, dx, dy) {
  for (const list of [placed.nodes, placed.branches, placed.dots]) for (const each of list) { each.x += dx; each.y += dy; }
  for (const edge of placed.edges) {
    edge.points = edge.points.map((point) => ({ x: point.x + dx, y: point.y + dy }));
    if (edge.label) { edge.label.x += dx; edge.label.y += dy; }
  }
}

function join(outer, inner) {
  outer.nodes.push(...inner.nodes);
  outer.branches.push(...inner.branches);
  outer.edges.push(...inner.edges);
  outer.dots.push(...inner.dots);
}
