/** A step's panel: which visit or item, then what it was given, what came of it, and every attempt. */

import { fill, h } from "../dom.js";
import { clock, count, duration, plural } from "../format.js";
import { title } from "../graph/layout.js";
import { icon } from "../icons.js";
import { statusBadge } from "../widgets/parts.js";
import { virtualList } from "../widgets/virtual.js";
import { visitDetails } from "./visit_details.js";

const FILTERS = [["", "All"], ["active", "Active"], ["Failed", "Failed"], ["Completed", "Done"]];

export function stepPanel({ model, onClose, moment }) {
  let step = null;
  /** The visit shown: null follows the most telling one. */
  let pinned = null;
  let filter = "";
  let shownKey = "";
  let listed = [];

  const head = h("header.panel-head");
  const chips = h("div.filters.compact", { role: "group", "aria-label": "Which" }, FILTERS.map(([key, label]) => h("button.filter", { type: "button", data: { which: key }, on: { click: () => { filter = key; update(true); } } }, label)));
  const list = virtualList({ rowHeight: 30, row, label: "Visits", onOpen: (index) => { pinned = listed[index].key; update(true); } });
  const chooser = h("div.visits", { hidden: true }, chips, list.element);
  const content = h("div.panel-content");
  const element = h("aside.panel", { hidden: true, "aria-label": "Step", on: { keydown: leave } }, head, chooser, content);

  function leave(event) {
    if (event.key === "Escape" && !event.defaultPrevented) { close(); event.preventDefault(); event.stopPropagation(); }
  }

  function open(id) {
    if (step !== id) { pinned = null; filter = ""; shownKey = ""; }
    step = id;
    element.hidden = false;
    update(true);
  }

  function close() {
    if (step === null) return;
    step = null;
    element.hidden = true;
    onClose();
  }

  const node = () => model.graph.nodes.find((each) => each.id === step);

  /** All visits, items in place of the `foreach` that opened them where there is one. */
  function visits() {
    const all = [];
    const until = moment() ?? Infinity;
    for (const visit of model.fold.byStep.get(step) ?? []) {
      if (visit.seq > until) continue;
      const items = model.fold.byForeach.get(visit.key);
      all.push(visit);
      if (items) for (const item of items) if (item.seq <= until) all.push(item);
    }
    return all;
  }

  function update(force = false) {
    if (step === null) return;
    const all = visits();
    // One visit: nothing to choose. `foreach`: its items are what one looks for.
    const many = all.length > 1;
    chooser.hidden = !many;
    if (many) {
      listed = filter ? all.filter((visit) => (filter === "active" ? visit.status === "Running" || visit.status === "Waiting" : visit.status === filter)) : all;
      for (const chip of chips.children) chip.setAttribute("aria-pressed", String(chip.dataset.which === filter));
      list.update(listed.length);
    }
    const visit = (pinned && model.fold.visits.get(pinned)) || telling(all);
    const key = `${step} ${visit?.key} ${visit?.status} ${visit?.attempts.length} ${visit?.notes.length} ${visit?.retryAt} ${JSON.stringify(visit?.progress)} ${visit?.attempts.at(-1)?.startedAt} ${JSON.stringify(visit?.items)} ${all.length} ${model.loaded} ${moment()}`;
    if (!force && key === shownKey) return;
    shownKey = key;
    drawHead(visit, all);
    fill(content, visit ? visitDetails({ model, node: node(), visit, key: pinned }) : h("p.faint.padded", {}, model.loaded ? "It has not begun." : "Loading the history …"));
  }

  function drawHead(visit, all) {
    const it = node();
    const state = (moment() === null ? model.steps : model.fold.stepsAt(moment()))[step];
    fill(head, h("div.panel-sign", { data: { status: state?.status ?? "Pending" } }, icon(it.type, { size: 18 })),
      h("div.panel-title", {}, h("h2", {}, title(it)), h("p.faint", {}, it.name && it.name !== it.id ? h("span.id", {}, it.id, " · ") : null, words(it), it.place ? [" · python ", h("span.id", {}, it.place)] : null, counted(all))),
      statusBadge(state?.status ?? "Pending"),
      h("button.icon-button", { type: "button", "aria-label": "Close", title: "Close (Esc)", on: { click: close } }, icon("close")),
      it.description ? h("p.panel-note", {}, it.description) : null);
  }

  /** Items are told as items: they are no visits of their own. */
  function counted(all) {
    const items = all.filter((visit) => visit.item !== null).length;
    const told = [];
    if (all.length - items > 1) told.push(plural(all.length - items, "visit"));
    if (items) told.push(plural(items, "item"));
    return told.map((each) => ` · ${each}`).join("");
  }

  function row(index) {
    const visit = listed[index];
    const took = visit.endedAt !== null ? duration(visit.endedAt - visit.openedAt) : clock(visit.openedAt);
    return h("div.visit", { data: { status: visit.status }, class: visit.key === pinned ? "pinned" : "" }, h("span.dot-mark"), h("span.visit-name", {}, nameOf(model, visit)),
      h("span.visit-note", {}, visit.failure ? visit.failure.type : visit.attempts.length > 1 ? `${visit.attempts.length} attempts` : ""), h("span.visit-took", {}, took));
  }

  return {
    element, open, close, update: () => update(false),
    get step() { return step; },
    showVisit(key) { pinned = key; update(true); },
    stop: () => list.stop(),
  };
}

const WORDS = { human: "human task", service_call: "service call", sub_workflow: "sub-workflow", body: "body of steps" };
function words(node) {
  return (WORDS[node.type] ?? node.type) + (node.foreach ? " for each item" : "");
}

/** The visit to show when nobody chose: one that failed, else one that goes on, else the last. */
function telling(all) {
  return all.find((visit) => visit.status === "Failed" && visit.item !== null) ?? all.find((visit) => visit.status === "Failed")
    ?? all.find((visit) => visit.status === "Running" || visit.status === "Waiting") ?? all[all.length - 1] ?? null;
}

/** `all 24 items`, `item 7`, `item 3 · visit 2`, `visit 2`. */
export function nameOf(model, visit) {
  if (visit.items) return `all ${count(visit.width ?? 0)} items`;
  const parts = [];
  if (visit.item !== null) parts.push(`item ${visit.item}`);
  else {
    const inside = itemAround(model, visit.scope);
    if (inside !== null) parts.push(`item ${inside}`);
  }
  if (visit.visit > 1 || !parts.length) parts.push(`visit ${visit.visit}`);
  return parts.join(" · ");
}

/** The index of the nearest `foreach` item around a scope. */
function itemAround(model, number) {
  for (let scope = model.fold.scopes.get(number); scope?.owner; scope = model.fold.scopes.get(scope.owner.scope)) {
    if (scope.owner.items) return scope.index;
    if (scope.owner.item !== null) return scope.owner.item;
  }
  return null;
}
