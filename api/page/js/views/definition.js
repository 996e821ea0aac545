/** One definition: its graph, its text, its versions, and a way to start it. */

import { fill, h } from "../dom.js";
import { graphView } from "../graph/view.js";
import { title } from "../graph/layout.js";
import { at, get } from "../http.js";
import { icon } from "../icons.js";
import { format, navigate } from "../router.js";
import { jsonView } from "../widgets/json.js";
import { errorState, loadingState } from "../widgets/parts.js";
import { startExecution } from "./start.js";

/** @returns {import("../app.js").View} */
export function definitionView(id, query) {
  const life = new AbortController();
  let version = query.version ?? "";
  let graph = null;
  const head = h("header.exec-head", {}, h("div.exec-title", {}, h("h1.id", {}, id)));
  const body = h("div.exec-body", {}, loadingState(4));
  const element = h("section.exec", {}, head, body);

  async function load() {
    try {
      const [raw, drawn, versions] = await Promise.all([
        get(at`workflow-definitions/${id}`, { version }, life.signal), get(at`workflow-definitions/${id}/graph`, { version }, life.signal), get(at`workflow-definitions/${id}/versions`, {}, life.signal).catch(() => []),
      ]);
      render(raw.definition ?? raw, drawn, Array.isArray(versions) ? versions : versions.data ?? []);
    } catch (error) {
      if (!life.signal.aborted) fill(body, errorState(error, load));
    }
  }

  function render(raw, drawn, versions) {
    graph?.stop();
    const choose = h("select", { "aria-label": "Version", on: { change: () => { version = choose.value; navigate(format(["definitions", id], { version }), { replace: true }); load(); } } }, versions.map((each) => h("option", { value: each.version, selected: each.version === drawn.version }, `version ${each.version}`)));
    fill(head, h("div.exec-title", {}, h("a.back", { href: "#/definitions", "aria-label": "Definitions" }, icon("back")), h("h1", {}, drawn.name || id), drawn.name && drawn.name !== id ? h("span.id.faint", {}, id) : null, versions.length > 1 ? choose : h("span.faint", {}, `version ${drawn.version}`)),
      h("div.acts", {}, h("a.button", { href: format(["executions"], { definition: id }) }, "Executions"), h("button.button.primary", { type: "button", on: { click: start } }, icon("play", { size: 13 }), "Start")),
      raw.description ? h("p.exec-facts", {}, raw.description) : null);
    graph = graphView({ graph: drawn, label: `Graph of ${id}`, onOpen: show });
    const text = h("div.details", {}, h("h3", {}, "Definition"), jsonView(raw, { label: "definition", open: 2 }));
    const panel = h("aside.panel", { "aria-label": "Definition" }, h("div.panel-content", {}, text));
    fill(body, h("div.exec-main", {}, h("div.flow", {}, graph.element)), panel);
    graph.start();

    function show(step) {
      const node = drawn.nodes.find((each) => each.id === step);
      fill(panel, h("header.panel-head", {}, h("div.panel-sign", {}, icon(node.type, { size: 18 })), h("div.panel-title", {}, h("h2", {}, title(node)), h("p.faint", {}, node.type)), h("button.icon-button", { type: "button", "aria-label": "Close", on: { click: () => { fill(panel, h("div.panel-content", {}, text)); graph.unchoose(); } } }, icon("close"))),
        h("div.panel-content", {}, h("div.details", {}, jsonView(find(raw, step) ?? node, { label: "step", open: 4 }))));
    }
  }

  async function start() {
    const started = await startExecution({ definition: id, version: version || undefined });
    if (started) navigate(format(["executions", started]));
  }

  function keys(event) {
    if (event.key === "Escape") return navigate("#/definitions"), true;
    if (event.key === "n") return start(), true;
    if (/^Arrow/.test(event.key)) return graph?.focus(), Boolean(graph);
    return false;
  }

  return { title: id, element, keys, start: load, place(next) { version = next.version ?? ""; load(); }, stop() { life.abort(); graph?.stop(); } };
}

/** A step of a definition, wherever it is nested. */
function find(scope, id) {
  for (const step of scope.steps ?? []) {
    if (step.id === id) return step;
    const inner = find(step, id);
    if (inner) return inner;
    for (const branch of step.branches ?? []) {
      const deeper = find(branch, id);
      if (deeper) return deeper;
    }
  }
  return null;
}
