/**
 * Draws a placed graph as SVG, and paints onto it what steps do. Drawing makes every element once;
 * painting only touches what differs, so that a burst of events costs one pass a frame.
 */

import { d3 } from "../vendor.js";
import { s } from "../dom.js";
import { count, duration, millis } from "../format.js";
import { iconPath } from "../icons.js";
import { labelWidth, title } from "./layout.js";

const NOTES = {
  activity: "activity", decision: "decision", human: "human task", timer: "timer", wait: "wait", script: "script",
  service_call: "service call", sub_workflow: "sub-workflow", parallel: "parallel", body: "body",
};

/** Why a step waits, by its phase. */
const WAITING = { queued: "waits for capacity", held: "held by the pause", backoff: "tries again", human: "waits for a person", timer: "waits for its time", waiting: "waits" };

const line = d3.line((p) => p.x, (p) => p.y).curve(d3.curveBasis);

/**
 * @param {import("./layout.js").Placed} placed
 * @param {{onFold: (id: string) => void}} handlers
 * @returns {{layer: SVGGElement, paint: (steps: Record<string, any>, taken: (edge: any) => number, options?: {glow?: boolean}) => void, nodes: Map<string, any>}}
 *   `glow`: a way that was just gone lights up
 */
export function draw(placed, { onFold }) {
  const nodes = new Map();
  const edges = placed.edges.map((each) => drawEdge(each));
  const layer = s("g.graph-layer");
  const boxes = placed.nodes.filter((each) => each.node.container && !each.folded).sort((a, b) => a.depth - b.depth);
  const leaves = placed.nodes.filter((each) => !each.node.container || each.folded);
  for (const each of boxes) {
    const drawn = drawBox(each, onFold);
    nodes.set(each.id, drawn);
    layer.append(drawn.element);
  }
  for (const branch of placed.branches) layer.append(drawBranch(branch));
  // In one order from here on: by depth, edges below steps, so that no box hides what is inside it.
  for (const edge of edges) layer.append(edge.element);
  for (const dot of placed.dots) layer.append(s("circle.dot", { class: dot.kind, cx: dot.x, cy: dot.y, r: dot.kind === "end" ? 5 : 6 }));
  for (const each of leaves) {
    const drawn = drawLeaf(each, onFold);
    nodes.set(each.id, drawn);
    layer.append(drawn.element);
  }
  for (const edge of edges) if (edge.label) layer.append(edge.label);
  for (const drawn of nodes.values()) if (drawn.fold) layer.append(drawn.fold);

  function paint(steps, taken, { glow = false } = {}) {
    for (const [id, drawn] of nodes) drawn.paint(steps[id] ?? null);
    for (const edge of edges) edge.paint(taken(edge.edge), steps, glow);
  }
  return { layer, paint, nodes };
}

/** Arrow heads, once in a picture. */
export function markers() {
  const head = (id) => s("marker", { id, class: id, viewBox: "0 0 8 8", refX: 6.5, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, s("path", { d: "M0.5 0.5 7.5 4 0.5 7.5 2.2 4z" }));
  return s("defs", {}, head("arrow"), head("arrow-taken"), head("arrow-error"), head("arrow-error-taken"));
}

function drawEdge({ edge, points, label }) {
  const path = s("path.edge", { d: line(points), class: edge.kind, "marker-end": edge.kind === "start" ? null : `url(#${edge.kind === "error" ? "arrow-error" : "arrow"})` });
  const told = [`${edge.from} → ${edge.to}`, edge.kind === "error" ? `on error ${edge.label ?? ""}` : edge.label ?? ""].filter(Boolean).join("\n");
  path.append(s("title", {}, told));
  let tag = null;
  if (label) {
    const width = labelWidth(label.text);
    tag = s("g.edge-label", { class: edge.kind, transform: `translate(${label.x},${label.y})` },
      s("rect", { x: -width / 2, y: -9, width, height: 18, rx: 9 }), s("text", { y: 3.5 }, label.text), s("title", {}, told));
  }
  let was = -1;
  function paint(times, steps, glow) {
    const now = edge.kind === "start" ? (steps[edge.to]?.visits ? 1 : 0) : times;
    if (now === was) return;
    const taken = now > 0;
    path.classList.toggle("taken", taken);
    tag?.classList.toggle("taken", taken);
    if (edge.kind !== "start") path.setAttribute("marker-end", `url(#arrow${edge.kind === "error" ? "-error" : ""}${taken ? "-taken" : ""})`);
    if (glow && was >= 0 && now > was) flash(path);
    was = now;
  }
  return { edge, element: path, label: tag, paint };
}

/** A way that was just gone glows for a moment. */
function flash(path) {
  path.classList.remove("fresh");
  void path.getBoundingClientRect();
  path.classList.add("fresh");
}

function drawLeaf({ id, node, x, y, width, height, folded }, onFold) {
  const stacked = node.foreach || folded;
  const mark = glyph(node.type);
  const name = s("text.name", { x: 44, y: 21 }, fitted(title(node), width - 84));
  const note = s("text.note", { x: 44, y: 37 });
  const status = statusMark(width - 20, 20);
  const bar = node.foreach ? itemBar(12, height - 17, width - 24) : null;
  const element = s("g.step", nodeProps(id, node, x, y),
    stacked ? s("rect.behind", { x: 5, y: 5, width: width - 2, height: height, rx: 10 }) : null,
    s("rect.card", { width, height, rx: 10 }),
    s("g.glyph", { transform: "translate(10,11)" }, s("rect", { width: 26, height: 26, rx: 7 }), s("g", { transform: "translate(5,5)" }, mark)),
    name, note, status.element, bar?.element);
  const fold = folded ? foldButton(id, x + width - 20, y + height - 16, true, onFold) : null;
  return { id, node, element, fold, x, y, width, height, paint: painter(element, node, { note, status, bar, room: width - 52 }) };
}

function drawBox({ id, node, x, y, width, height }, onFold) {
  const mark = glyph(node.type);
  const name = s("text.name", { x: 42, y: 19 }, fitted(title(node), width - (node.foreach ? 200 : 84)));
  const note = s("text.note", { x: 42, y: 34 });
  const status = statusMark(width - 44, 21);
  const bar = node.foreach ? itemBar(width - 182, 17, 124) : null;
  const element = s("g.step.box", nodeProps(id, node, x, y),
    node.foreach ? s("rect.behind", { x: 6, y: 6, width, height, rx: 14 }) : null,
    s("rect.card", { width, height, rx: 14 }),
    s("g.glyph", { transform: "translate(9,8)" }, s("rect", { width: 26, height: 26, rx: 7 }), s("g", { transform: "translate(5,5)" }, mark)),
    name, note, status.element, bar?.element);
  const fold = foldButton(id, x + width - 19, y + 21, false, onFold);
  return { id, node, element, fold, x, y, width, height, paint: painter(element, node, { note, status, bar, room: width - (bar ? 232 : 60) }) };
}

function nodeProps(id, node, x, y) {
  return {
    transform: `translate(${x},${y})`, tabindex: "-1", role: "button", id: `step-${id}`,
    data: { step: id, status: "Pending", type: node.type }, "aria-label": `${title(node)}, ${NOTES[node.type] ?? node.type}, not begun`,
  };
}

function drawBranch({ scope, x, y, width, height }) {
  return s("g.branch", { transform: `translate(${x},${y})` },
    s("rect", { width, height, rx: 10 }), s("text", { x: 12, y: 17 }, fitted(scope.name ?? "", width - 20)));
}

function foldButton(id, x, y, folded, onFold) {
  const toggle = (event) => { event.stopPropagation(); onFold(id); };
  return s("g.fold", { transform: `translate(${x},${y})`, role: "button", data: { fold: id }, "aria-label": folded ? `open ${id}` : `fold ${id}`, on: { click: toggle } },
    s("circle", { r: 10 }), s("path", { d: folded ? "M-2 -4 2 0 -2 4" : "M-4 -2 0 2 4 -2" }));
}

function glyph(type) {
  return s("path", { d: iconPath(type) });
}

function statusMark(x, y) {
  const path = s("path");
  const element = s("g.mark", { transform: `translate(${x},${y})` }, s("circle.ring", { r: 8.5 }), s("g", { transform: "translate(-5.5,-5.5) scale(0.69)" }, path));
  return { element, set: (status) => path.setAttribute("d", status === "Pending" ? "" : iconPath(status)) };
}

/** Done, failed, active, of all: the one bar in which a `foreach` is folded. */
function itemBar(x, y, width) {
  const parts = Object.fromEntries(["completed", "failed", "canceled", "active"].map((name) => [name, s("rect", { class: name, y: 0, height: 6, width: 0 })]));
  const clip = `bar-${x}-${y}-${width}`.replace(/[^\w-]/g, "_");
  const element = s("g.items", { transform: `translate(${x},${y})` },
    s("clipPath", { id: clip }, s("rect", { width, height: 6, rx: 3 })),
    s("g", { "clip-path": `url(#${clip})` }, s("rect.rest", { width, height: 6 }), ...Object.values(parts)));
  function set(items) {
    let at = 0;
    for (const [name, part] of Object.entries(parts)) {
      const share = items?.total ? (width * (items[name] ?? 0)) / items.total : 0;
      part.setAttribute("x", String(at));
      part.setAttribute("width", String(Math.max(0, share)));
      at += share;
    }
  }
  return { element, set };
}

function painter(element, node, { note, status, bar, room }) {
  let was = "";
  return (step) => {
    const state = step?.status ?? "Pending";
    const words = stepWords(node, step);
    const key = `${state}|${words}|${JSON.stringify(step?.items ?? null)}`;
    if (key === was) return;
    was = key;
    element.dataset.status = state;
    status.set(state);
    bar?.set(step?.items);
    note.textContent = shortened(words || NOTES[node.type] || node.type, room);
    element.setAttribute("aria-label", `${title(node)}, ${NOTES[node.type] ?? node.type}, ${step ? state : "not begun"}${words ? `, ${words}` : ""}`);
  };
}

/** What stands below a step's name while it has something to tell. Pure. */
export function stepWords(node, step) {
  if (!step || !step.visits) return "";
  const parts = [];
  if (step.items) {
    const { total, completed, failed, active } = step.items;
    parts.push(`${count(completed)} / ${count(total)}`);
    if (failed) parts.push(`${count(failed)} failed`);
    if (active) parts.push(`${count(active)} active`);
    return parts.join(" · ");
  }
  if (step.visits > 1) {
    const tally = step.tally ?? {};
    const done = tally.Completed ?? 0;
    parts.push(tally.Completed === undefined ? `${count(step.visits)} visits` : `${count(done)} of ${count(step.visits)}`);
    if (tally.Failed) parts.push(`${count(tally.Failed)} failed`);
    const active = (tally.Running ?? 0) + (tally.Waiting ?? 0);
    if (active) parts.push(`${count(active)} active`);
    return parts.join(" · ");
  }
  if (step.attempt > 1) parts.push(`attempt ${step.attempt}`);
  if (step.status === "Failed" && step.error) parts.push(step.error.type);
  const from = millis(step.started_at ?? step.started_at_ms), to = millis(step.ended_at ?? step.ended_at_ms);
  if (from && to) parts.push(duration(to - from));
  else if (step.status === "Waiting") parts.push(WAITING[step.phase] ?? (node.type === "human" ? "waits for a person" : node.type === "activity" ? "tries again" : "waits"));
  else if (step.status === "Running") parts.push("running");
  return parts.join(" · ");
}

/** Words of a note as far as there is room: whole parts first, what comes last is left out first. */
function shortened(words, room) {
  const chars = Math.max(8, Math.floor(room / 5.7));
  const parts = words.split(" · ");
  while (parts.length > 1 && parts.join(" · ").length > chars) parts.pop();
  return parts.join(" · ");
}

/** Text cut to a width, by the estimate that `layout.js` makes. */
function fitted(text, width) {
  const chars = Math.max(4, Math.floor(width / 6.7));
  return text.length <= chars ? text : `${text.slice(0, chars - 1)}…`;
}

