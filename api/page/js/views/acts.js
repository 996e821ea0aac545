/** What can be done to an execution: pause, resume, cancel, retry, signal. */

import { h } from "../dom.js";
import { at, post } from "../http.js";
import { icon } from "../icons.js";
import { ask, askText, UserError } from "../widgets/dialogs.js";
import { jsonEditor } from "../widgets/json_editor.js";
import { toast } from "../widgets/toast.js";

const GOING = new Set(["Pending", "Running", "Waiting", "Paused", "Compensating"]);

/** The buttons that fit an execution's status. */
export function actsFor(model, done) {
  const { status } = model.state;
  const acts = [];
  const button = (name, label, act, danger = false) => h("button.button.small", { type: "button", class: danger ? "danger-soft" : "", data: { act: name }, on: { click: act } }, icon(name, { size: 13 }), h("span", {}, label));
  if (GOING.has(status)) acts.push(button("signal", "Signal", signal));
  if (status === "Paused") acts.push(button("play", "Resume", () => send("resume", {})));
  else if (GOING.has(status)) acts.push(button("pause", "Pause", pause));
  if (GOING.has(status)) acts.push(button("stop", "Cancel", cancel, true));
  if (status === "Failed") acts.push(button("retry", "Retry", retry));
  return acts;

  async function send(verb, body) {
    try {
      const answer = await post(at`workflows/${model.id}/${verb}`, body);
      taken(answer);
      return answer;
    } catch (error) {
      toast(error.message, { error: true });
      return null;
    }
  }

  function taken(answer) {
    toast(answer.message || `It is ${answer.status}.`);
    done();
  }

  async function pause() {
    const reason = await askText({ title: "Pause", label: "Reason", hint: "Recorded in the history. Attempts that run end and are recorded; nothing new starts.", act: "Pause" });
    if (reason !== null) await send("pause", reason ? { reason } : {});
  }

  async function cancel() {
    const reason = await askText({ title: `Cancel ${model.id}?`, label: "Reason", hint: "Recorded in the history. Running attempts get their grace; then the execution ends for good.", act: "Cancel it", danger: true });
    if (reason !== null) await send("cancel", reason ? { reason } : {});
  }

  async function retry() {
    const steps = model.graph.nodes.filter((node) => node.scope === model.graph.scopes.find((scope) => scope.parent === null)?.id);
    const select = h("select", {}, h("option", { value: "" }, "where it failed"), steps.map((node) => h("option", { value: node.id }, `step ${node.name || node.id}`)));
    const body = h("label.field", {}, h("span.field-name", {}, "Go on from"), select, h("span.field-hint", {}, "From where it failed, what failed begins again with the inputs it had. From a step, all else is dropped."));
    const answer = await ask({ title: "Retry", body, act: "Retry", submit: () => post(at`workflows/${model.id}/retry`, select.value ? { from_activity: select.value } : {}) });
    if (answer) taken(answer);
  }

  async function signal() {
    const name = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "address_changed" });
    const data = jsonEditor({ label: "What it carries", value: null });
    const body = h("div.fields", {}, h("label.field", {}, h("span.field-name", {}, "Signal"), name), data.element);
    const answer = await ask({
      title: "Send a signal", body, act: "Send", focus: name,
      submit: () => {
        if (!name.value.trim()) throw new UserError("Say which signal.");
        return post(at`workflows/${model.id}/signal`, { signal_name: name.value.trim(), signal_data: data.value() });
      },
    });
    if (answer) taken(answer);
  }
}
