/**
 * The graph on the screen: zoom and pan, which step is chosen, folding, and the keys.
 *
 * Arrow keys go to the nearest step in that direction, Enter opens it, + and − zoom, 0 fits.
 */

import { d3 } from "../vendor.js";
import { fill, h, s } from "../dom.js";
import { icon } from "../icons.js";
import { draw, markers } from "./draw.js";
import { layout } from "./layout.js";

/** Smaller than this nobody reads it: a larger graph begins at its start instead of being fitted. */
const READABLE = 0.6;
/** Beside the lanes it is a map of where things happen, and may be smaller. */
const READABLE_NARROW = 0.42;
const SCALE = [0.04, 2.5];
const MARGIN = 28;

/**
 * @param {{graph: any, onOpen: (step: string) => void, label: string}} options
 */
export function graphView({ graph, onOpen, label }) {
  const folded = new Set();
  /** @type {{direction: string, inner: string} | null} */
  let way = null;
  let drawn = null;
  let placed = null;
  let chosen = null;
  let painting = { steps: {}, taken: () => 0 };
  let fittedTo = "";

  const stage = s("g");
  const svg = s("svg.graph", { tabindex: "0", role: "application", "aria-label": `${label}. Arrow keys go from step to step, Enter opens one.` }, markers(), stage);
  const zoom = d3.zoom().scaleExtent(SCALE).on("zoom", (event) => stage.setAttribute("transform", String(event.transform)));
  const tools = h("div.graph-tools", { role: "toolbar", "aria-label": "Graph" },
    tool("plus", "Zoom in (+)", () => zoomBy(1.35)), tool("minus", "Zoom out (−)", () => zoomBy(1 / 1.35)),
    tool("fit", "Fit (0)", () => fit(true, true)), tool("rotate", "Turn (r)", turn));
  const element = h("div.graph-pane", {}, svg, tools);
  d3.select(svg).call(zoom).on("dblclick.zoom", null);

  svg.addEventListener("click", (event) => {
    const node = event.target.closest?.("[data-step]");
    if (node) { choose(node.dataset.step); onOpen(node.dataset.step); }
  });
  svg.addEventListener("keydown", keys);
  const watcher = new ResizeObserver(() => {
    const size = `${element.clientWidth}x${element.clientHeight}`;
    if (drawn && element.clientWidth && size !== fittedTo) fit(false);
  });
  watcher.observe(element);

  function tool(name, title, act) {
    return h("button.icon-button", { type: "button", title, "aria-label": title, on: { click: act } }, icon(name));
  }

  function build() {
    // Whichever way leaves the text larger; once chosen it stays, so that nothing jumps.
    way ??= best(graph, element);
    placed = layout(graph, { ...way, folded });
    drawn = draw(placed, { onFold: toggleFold });
    fill(stage, drawn.layer);
    drawn.paint(painting.steps, painting.taken);
    if (chosen) choose(chosen);
  }

  /** `entirely`: whole, however small; else as much as can be read. */
  function fit(smooth, entirely = false) {
    const width = element.clientWidth, height = element.clientHeight;
    if (!width || !height || !placed?.width) return;
    fittedTo = `${width}x${height}`;
    const whole = Math.min((width - 2 * MARGIN) / placed.width, (height - 2 * MARGIN) / placed.height, 1.15);
    const narrow = width < 700 && height > 380;
    const scale = entirely || whole >= (narrow ? READABLE_NARROW : READABLE) ? whole : Math.max(whole, Math.min(0.72, Math.max(0.55, (width - 2 * MARGIN) / placed.width)));
    const first = placed.dots.find((dot) => dot.kind === "start") ?? { x: placed.width / 2, y: 0 };
    const x = placed.width * scale <= width ? (width - placed.width * scale) / 2 : way.direction === "TB" ? width / 2 - first.x * scale : MARGIN;
    const y = placed.height * scale <= height ? (height - placed.height * scale) / 2 : way.direction === "LR" ? height / 2 - first.y * scale : MARGIN;
    apply(d3.zoomIdentity.translate(x, y).scale(scale), smooth);
  }

  function apply(transform, smooth) {
    const target = d3.select(svg);
    if (smooth && !matchMedia("(prefers-reduced-motion: reduce)").matches) target.transition().duration(220).call(zoom.transform, transform);
    else target.call(zoom.transform, transform);
  }

  function zoomBy(factor) {
    d3.select(svg).transition().duration(140).call(zoom.scaleBy, factor);
  }

  function turn() {
    const next = WAYS.findIndex((each) => each.direction === way.direction && each.inner === way.inner) + 1;
    way = WAYS[next % WAYS.length];
    build();
    fit(false);
  }

  function toggleFold(id) {
    if (folded.has(id)) folded.delete(id);
    else folded.add(id);
    build();
    fit(true);
  }

  function choose(id) {
    drawn?.nodes.get(chosen)?.element.classList.remove("chosen");
    chosen = id;
    const node = drawn?.nodes.get(id);
    node?.element.classList.add("chosen");
    if (node) svg.setAttribute("aria-activedescendant", node.element.id);
    return node;
  }

  /** Bring a step into sight, without changing the scale. */
  function reveal(node) {
    const t = d3.zoomTransform(svg);
    const x = t.applyX(node.x + node.width / 2), y = t.applyY(node.y + Math.min(node.height, 120) / 2);
    const width = element.clientWidth, height = element.clientHeight;
    if (x > 60 && x < width - 60 && y > 40 && y < height - 40) return;
    apply(t.translate((width / 2 - x) / t.k, (height / 2 - y) / t.k), true);
  }

  function keys(event) {
    const direction = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (direction) {
      const next = nearest([...drawn.nodes.values()], drawn.nodes.get(chosen), direction);
      if (next) reveal(choose(next.id));
    } else if (event.key === "Enter" && chosen) onOpen(chosen);
    else if (event.key === "+" || event.key === "=") zoomBy(1.35);
    else if (event.key === "-") zoomBy(1 / 1.35);
    else if (event.key === "0") fit(true, true);
    else if (event.key === "r") turn();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    element,
    /** Once it is in the page. */
    start() { build(); fit(false); },
    paint(steps, taken, options) {
      painting = { steps, taken };
      drawn?.paint(steps, taken, options);
    },
    choose: (id) => { const node = choose(id); if (node) reveal(node); },
    unchoose: () => { drawn?.nodes.get(chosen)?.element.classList.remove("chosen"); chosen = null; svg.removeAttribute("aria-activedescendant"); },
    focus: () => svg.focus({ preventScroll: true }),
    stop: () => watcher.disconnect(),
  };
}

const WAYS = [["TB", "TB"], ["LR", "TB"], ["LR", "LR"], ["TB", "LR"]].map(([direction, inner]) => ({ direction, inner }));

/** The way in which the graph can be shown larger in this pane. */
function best(graph, element) {
  const width = element.clientWidth || 1000, height = element.clientHeight || 700;
  const nested = graph.scopes.some((scope) => scope.step);
  let found = WAYS[0], most = 0;
  // Placing a large graph several times takes long, and it is not seen whole anyway.
  for (const way of graph.nodes.length > 300 ? WAYS.slice(0, 1) : WAYS) {
    if (!nested && way.direction !== way.inner) continue;
    const placed = layout(graph, way);
    const scale = Math.min((width - 2 * MARGIN) / Math.max(placed.width, 1), (height - 2 * MARGIN) / Math.max(placed.height, 1), 1.15);
    // Another way than down has to be clearly larger.
    if (scale > most * 1.12) { found = way; most = scale; }
  }
  return found;
}

/**
 * The next step in a direction: near along it, and not far to the side. Pure.
 * @param {{id: string, x: number, y: number, width: number, height: number}[]} nodes
 */
export function nearest(nodes, from, [dx, dy]) {
  if (!from) return nodes.reduce((first, each) => (!first || each.y + each.x / 10 < first.y + first.x / 10 ? each : first), null);
  const centre = (each) => [each.x + each.width / 2, each.y + Math.min(each.height / 2, 30)];
  const [x, y] = centre(from);
  let found = null, least = Infinity;
  for (const each of nodes) {
    if (each === from) continue;
    const [ex, ey] = centre(each);
    const along = (ex - x) * dx + (ey - y) * dy;
    if (along <= 4) continue;
    const aside = Math.abs((ex - x) * dy) + Math.abs((ey - y) * dx);
    const cost = along + 2.2 * aside;
    if (cost < least) { least = cost; found = each; }
  }
  return found;
}
