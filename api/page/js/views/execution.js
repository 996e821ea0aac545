/** One execution: its graph, timeline, events and data, kept up by its socket. */

import { fill, h, oncePerFrame } from "../dom.js";
import { count, duration, millis, clock } from "../format.js";
import { graphView } from "../graph/view.js";
import { icon } from "../icons.js";
import { Execution } from "../model/execution.js";
import { format, navigate } from "../router.js";
import { timelineView } from "../timeline/view.js";
import { copyButton, errorState, loadingState, retell, statusBadge, tabs, when } from "../widgets/parts.js";
import { actsFor } from "./acts.js";
import { dataTab } from "./data_tab.js";
import { eventsTab } from "./events_tab.js";
import { replayBar } from "./replay.js";
import { stepPanel } from "./step_panel.js";

const TABS = [["graph", "Graph"], ["timeline", "Timeline"], ["events", "Events"], ["data", "Data"]];
const ENDED = new Set(["Completed", "Failed", "Canceled", "Compensated", "CompensationFailed"]);

/** @returns {import("../app.js").View} */
export function executionView(id, query) {
  const model = new Execution(id);
  const signal = new AbortController();
  let tab = tabOf(query);
  let parts = null;
  /** The seq whose moment is drawn; null: now. */
  let moment = null;
  let shownLoaded = false;

  const head = h("header.exec-head");
  const body = h("div.exec-body", {}, loadingState(4));
  const chooser = tabs(TABS, tab, (next) => go({ tab: next }));
  const element = h("section.exec", {}, head, chooser.element, body);
  const draw = oncePerFrame(render);
  const drawHead = oncePerFrame(renderHead);
  const clockTimer = setInterval(() => { retell(element); if (model.state && !ENDED.has(model.status)) drawHead(); }, 1_000);

  for (const what of ["steps", "history"]) model.addEventListener(what, draw);
  model.addEventListener("state", drawHead);
  model.addEventListener("graph", rebuild);
  model.addEventListener("connection", drawHead);

  function tabOf(from) {
    return TABS.some(([key]) => key === from.tab) ? from.tab : "graph";
  }

  function go(change) {
    const step = parts?.panel.step ?? null;
    navigate(format(["executions", id], { tab: tab === "graph" ? "" : tab, step: step ?? "", ...change, ...(change.tab === "graph" ? { tab: "" } : {}) }), { replace: true });
    place({ tab, step, ...change });
  }

  function place(next) {
    tab = tabOf(next);
    chooser.mark(tab);
    if (!parts) return;
    body.dataset.tab = tab;
    if (next.step) openStep(next.step, false);
    parts.timeline.shown(tab === "timeline");
    draw();
  }

  async function load() {
    try {
      await model.open();
    } catch (error) {
      if (signal.signal.aborted) return;
      fill(head, h("div.exec-title", {}, h("a.back", { href: "#/executions", "aria-label": "Executions" }, icon("back")), h("h1.id", {}, id)));
      fill(body, errorState(error, () => { fill(body, loadingState(4)); load(); }));
      return;
    }
    if (signal.signal.aborted) return;
    build();
  }

  function build() {
    const graph = graphView({ graph: model.graph, label: `Graph of ${id}`, onOpen: (step) => openStep(step, true) });
    const panel = stepPanel({ model, onClose: closeStep, moment: () => moment });
    const timeline = timelineView({ model, moment: () => moment, onMoment: setMoment, onOpen: (step, visit) => { openStep(step, true); if (visit) panel.showVisit(visit); } });
    const replay = replayBar({ model, moment: () => moment, onMoment: setMoment });
    const events = eventsTab({ model, onMoment: (seq) => { setMoment(seq); go({ tab: "graph" }); } });
    const data = dataTab({ model });
    parts = { graph, panel, timeline, replay, events, data };
    const flow = h("div.flow", {}, graph.element, timeline.element, replay.element);
    fill(body, h("div.exec-main", {}, flow, events.element, data.element), panel.element);
    graph.start();
    renderHead();
    place({ ...query, tab });
  }

  /** The execution goes on with another version: what is drawn of the old one goes. */
  function rebuild() {
    if (!parts) return;
    const step = parts.panel.step;
    stopParts();
    moment = null;
    shownLoaded = false;
    build();
    place({ tab, step });
  }

  function stopParts() {
    for (const part of ["graph", "timeline", "replay", "events", "panel"]) parts?.[part].stop();
  }

  function openStep(step, told) {
    if (!model.graph.nodes.some((node) => node.id === step)) return;
    parts.graph.choose(step);
    parts.panel.open(step);
    parts.timeline.choose(step);
    if (told) navigate(format(["executions", id], { tab: tab === "graph" ? "" : tab, step }), { replace: true });
  }

  function closeStep() {
    parts.graph.unchoose();
    parts.timeline.choose(null);
    navigate(format(["executions", id], { tab: tab === "graph" ? "" : tab }), { replace: true });
    if (tab === "graph") parts.graph.focus();
  }

  function setMoment(seq) {
    moment = seq === null || seq >= model.fold.seq && !parts.replay.playing ? null : seq;
    draw();
  }

  function render() {
    if (!parts) return;
    const seq = moment ?? model.fold.seq;
    element.classList.toggle("in-past", moment !== null);
    if (tab === "graph" || tab === "timeline") {
      const steps = moment === null ? model.steps : model.fold.stepsAt(seq);
      // What was there when the page was opened does not light up, what happens from then on does.
      parts.graph.paint(steps, (edge) => model.takenAt(edge, seq), { glow: shownLoaded });
      shownLoaded = model.loaded;
      parts.replay.update();
    }
    if (tab === "timeline") parts.timeline.update();
    if (tab === "events") parts.events.update();
    if (tab === "data") parts.data.update();
    parts.panel.update();
    chooser.button("events").textContent = model.head ? `Events ${count(model.head)}` : "Events";
  }

  function renderHead() {
    const state = model.state;
    if (!state) return;
    const from = millis(state.created_at), to = millis(state.ended_at);
    const took = ENDED.has(state.status) ? (from !== null && to !== null ? to - from : state.elapsed_ms) : from !== null ? Date.now() - from : null;
    const facts = h("div.exec-facts", {},
      h("a", { href: format(["definitions", state.definition_id], { version: state.version }) }, state.name || state.definition_id, h("span.faint", {}, ` ${state.version}`)),
      h("span", {}, "started ", when(state.created_at)), h("span", {}, ENDED.has(state.status) ? "took " : "for ", h("span.number", {}, duration(took))),
      state.run > 1 ? h("span", {}, `run ${state.run}`) : null,
      parentLink(state.parent),
      Object.entries(state.labels ?? {}).map(([key, value]) => h("span.label", {}, `${key}=${value}`)));
    const acts = h("div.acts", {}, connection(), actsFor(model, () => draw()));
    fill(head, h("div.exec-title", {}, h("a.back", { href: "#/executions", "aria-label": "Executions" }, icon("back")),
      h("h1.id", { title: id }, id), copyButton(id, "Copy id"), statusBadge(state.status)), acts, facts, failureLine(state));
  }

  function parentLink(parent) {
    const parentId = typeof parent === "string" ? parent : parent?.execution_id ?? parent?.workflow_id;
    return parentId ? h("a", { href: format(["executions", parentId]) }, "child of ", h("span.id", {}, parentId)) : null;
  }

  function failureLine(state) {
    if (state.status !== "Failed" || !state.failure) return null;
    const { step, type, message } = state.failure;
    return h("p.exec-failure", {}, step ? h("button.link", { type: "button", on: { click: () => openStep(step, true) } }, step) : null, step ? ": " : null, h("strong", {}, type), ` ${message}`);
  }

  function connection() {
    const { phase, reason, tries } = model.connection;
    const words = { live: ENDED.has(model.status) ? "ended" : "live", connecting: "connecting", reconnecting: "reconnecting", gone: "not followed" }[phase];
    return h("span.connection", { data: { phase, ended: String(ENDED.has(model.status)) }, role: "status", title: reason ?? (phase === "reconnecting" ? `Try ${tries}; nothing will be missed.` : `Followed live since ${clock(millis(model.state?.created_at))}`) }, h("span.pulse"), words);
  }

  let afterG = false;
  function keys(event) {
    if (!parts) return false;
    if (afterG) {
      afterG = false;
      const next = { g: "graph", l: "timeline", e: "events", d: "data" }[event.key];
      if (next) return go({ tab: next }), true;
    }
    if (event.key === "g") return (afterG = true);
    if (event.key === "Escape") {
      if (moment !== null) return setMoment(null), true;
      if (parts.panel.step) return parts.panel.close(), true;
      return navigate("#/executions"), true;
    }
    if (event.key === "," || event.key === ".") {
      const at = moment ?? model.fold.seq;
      return setMoment(Math.max(1, at + (event.key === "," ? -1 : 1))), true;
    }
    if (event.key === " " && event.target.tagName !== "BUTTON") return parts.replay.toggle(), true;
    if (/^Arrow/.test(event.key) && (tab === "graph" || tab === "timeline") && (event.target === document.body || event.target.id === "main")) {
      parts.graph.focus();
      return true;
    }
    return false;
  }

  return {
    title: id,
    element,
    keys,
    place,
    start: load,
    stop() {
      signal.abort();
      model.stop();
      clearInterval(clockTimer);
      draw.cancel();
      drawHead.cancel();
      stopParts();
    },
  };
}
