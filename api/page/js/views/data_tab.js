/** What the execution was given, what came of it, and its variables. */

import { fill, h } from "../dom.js";
import { fullInstant } from "../format.js";
import { at, get } from "../http.js";
import { jsonView } from "../widgets/json.js";

export function dataTab({ model }) {
  const element = h("div.data-tab");
  let was = "";
  let variables = null;
  let asked = -1;

  function update() {
    const start = model.fold.events[0];
    const { state } = model;
    const key = `${Boolean(start)} ${state?.status} ${state?.run} ${JSON.stringify(state?.output ?? null)?.length} ${variables !== null} ${asked}`;
    if (asked !== (state?.seq ?? 0)) askVariables();
    if (key === was) return;
    was = key;
    fill(element,
      card("Input", start ? jsonView(start.input ?? null, { label: "input" }) : h("p.faint", {}, "loading …")),
      card("Output", state?.output !== undefined && state?.output !== null ? jsonView(state.output, { label: "output" }) : h("p.faint", {}, state?.status === "Completed" ? "null" : "none yet")),
      state?.failure ? card("Failure", h("p.error-line", {}, h("strong", {}, state.failure.type), ` ${state.failure.message}`), state.failure.traceback ? h("pre.output", { data: { kind: "traceback" } }, state.failure.traceback) : null) : null,
      variables && Object.keys(variables).length ? card("Variables", jsonView(variables, { label: "variables" })) : null,
      card("Facts", facts(state)));
  }

  async function askVariables() {
    asked = model.state?.seq ?? 0;
    try {
      variables = (await get(at`workflows/${model.id}`, { include_variables: true })).variables ?? null;
    } catch {
      variables = null;
    }
    update();
  }

  function facts(state) {
    const rows = [["Execution", model.id], ["Definition", `${state.definition_id} ${state.version}`], ["Status", state.status], ["Run", state.run], ["Priority", state.priority], ["Correlation", state.correlation_id],
      ["Created", fullInstant(state.created_at)], ["Ended", fullInstant(state.ended_at)]];
    return h("dl.facts", {}, rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
  }

  return { element, update };
}

function card(title, ...content) {
  return h("section.card", {}, h("h2", {}, title), content);
}
