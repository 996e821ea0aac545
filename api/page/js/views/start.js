/** The dialog that starts an execution. */

import { h } from "../dom.js";
import { at, get, post } from "../http.js";
import { exampleOf } from "../form/schema.js";
import { ask, UserError } from "../widgets/dialogs.js";
import { jsonEditor } from "../widgets/json_editor.js";

/**
 * @param {{definition?: string, version?: string}} known
 * @returns {Promise<string | null>} the id of what was started
 */
export async function startExecution({ definition, version }) {
  const which = h("input", { type: "text", list: "definitions-known", value: definition ?? "", autocomplete: "off", spellcheck: "false", placeholder: "definition", on: { change: suggest } });
  const known = h("datalist", { id: "definitions-known" });
  const id = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "drawn by the server" });
  const priority = h("select", {}, h("option", { value: "" }, "as defined"), Array.from({ length: 10 }, (_, i) => h("option", { value: 10 - i }, String(10 - i))));
  const input = jsonEditor({ label: "Input", value: null, rows: 9, hint: "JSON; empty is null." });
  const schema = h("p.field-hint", { hidden: true });
  const body = h("div.fields", {}, h("label.field", {}, h("span.field-name", {}, "Definition"), which, known), input.element, schema,
    h("div.pair", {}, h("label.field", {}, h("span.field-name", {}, "Id", h("span.optional", {}, "optional")), id), h("label.field", {}, h("span.field-name", {}, "Priority"), priority)));
  let suggested = "";

  get("workflow-definitions", { per_page: 100 }).then((page) => {
    for (const each of page.data) known.append(h("option", { value: each.id }));
    if (!which.value && page.data.length === 1) { which.value = page.data[0].id; suggest(); }
  }).catch(() => {});
  if (definition) suggest();

  /** Fill in what the definition's input schema asks for, unless something was typed. */
  async function suggest() {
    if (!which.value.trim()) return;
    const raw = await get(at`workflow-definitions/${which.value.trim()}`, { version }).catch(() => null);
    const wanted = (raw?.definition ?? raw)?.input_schema;
    schema.hidden = !wanted;
    schema.textContent = wanted?.required?.length ? `Needs ${wanted.required.join(", ")}.` : "";
    if (wanted && (input.input.value.trim() === "" || input.input.value === suggested)) {
      input.set(exampleOf(wanted));
      suggested = input.input.value;
    }
  }

  return ask({
    title: "Start an execution", body, act: "Start", wide: true, focus: definition ? input.input : which,
    async submit() {
      if (!which.value.trim()) throw new UserError("Say which definition.");
      const request = { definition_id: which.value.trim(), input: input.value() };
      if (version) request.version = version;
      if (id.value.trim()) request.workflow_id = id.value.trim();
      if (priority.value) request.priority = Number(priority.value);
      try {
        return (await post("workflows", request)).workflow_id;
      } catch (error) {
        const field = error.details?.fields?.find((each) => String(each.field).startsWith("input"));
        if (field) input.fault(`${field.field.replace(/^input\.?/, "") || "input"}: ${field.message}`);
        throw error;
      }
    },
  });
}
