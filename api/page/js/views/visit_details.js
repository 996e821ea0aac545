/** One visit: times, error, input, output, attempts with what they printed, what people did. */

import { h } from "../dom.js";
import { clock, duration, fullInstant, count } from "../format.js";
import { at, get } from "../http.js";
import { format } from "../router.js";
import { jsonView } from "../widgets/json.js";
import { statusBadge } from "../widgets/parts.js";
import { nameOf } from "./step_panel.js";

export function visitDetails({ model, node, visit }) {
  const several = (model.fold.byStep.get(visit.step)?.length ?? 0) > 1 || visit.item !== null;
  return h("div.details", {},
    several || visit.items ? h("div.visit-head", {}, h("h3", {}, nameOf(model, visit)), statusBadge(visit.status, { small: true })) : null,
    visit.items ? itemCounts(visit) : null,
    times(visit),
    visit.progress !== undefined && visit.endedAt === null ? section("Progress", jsonView(visit.progress, { label: "progress" })) : null,
    visit.failure ? fault(visit) : null,
    node.type === "human" && visit.status === "Waiting" ? taskLink(model, visit) : null,
    childLink(model, visit),
    visit.input !== undefined ? section("Input", jsonView(visit.input, { label: "input" })) : null,
    outputOf(model, visit) !== undefined ? section("Output", jsonView(outputOf(model, visit), { label: "output" })) : null,
    visit.attempts.length && !visit.items && !node.container ? section(visit.attempts.length === 1 ? "Attempt" : "Attempts", h("ol.attempts", {}, visit.attempts.map((attempt) => attemptView(attempt, visit)))) : null,
    visit.notes.length ? section("Notes", h("ul.notes", {}, visit.notes.map((note) => h("li", {}, h("time.faint", { title: fullInstant(note.at) }, clock(note.at)), ` ${note.text}`)))) : null);
}

/** Of a `foreach`: its items' outputs, in their order, null where there is none. */
function outputOf(model, visit) {
  if (!visit.items || visit.status !== "Completed") return visit.output;
  const list = new Array(visit.width).fill(null);
  for (const item of model.fold.byForeach.get(visit.key) ?? []) list[item.item] = item.status === "Completed" ? item.output ?? null : null;
  return list;
}

function section(name, ...content) {
  return h("section.part", {}, h("h3", {}, name), content);
}

function itemCounts(visit) {
  const { active, completed, failed, canceled } = visit.items;
  const width = visit.width || 1;
  const parts = [["completed", completed, "done"], ["failed", failed, "failed"], ["active", active, "active"], ["canceled", canceled, "canceled"]];
  return h("div.item-counts", {},
    h("div.bar", { role: "img", "aria-label": `${completed} of ${visit.width} done` }, parts.map(([name, number]) => { const part = h("span", { class: name }); part.style.flexGrow = String(number / width); return part; }), rest(width - active - completed - failed - canceled, width)),
    h("p", {}, parts.filter(([, number]) => number).map(([name, number, word]) => h("span.count", { class: name }, `${count(number)} ${word}`)), h("span.faint", {}, `of ${count(visit.width ?? 0)}`)));
}

function rest(number, width) {
  const part = h("span.rest");
  part.style.flexGrow = String(Math.max(0, number / width));
  return part;
}

function times(visit) {
  const last = visit.attempts[visit.attempts.length - 1];
  const rows = [["Opened", fullInstant(visit.openedAt)]];
  if (last?.startedAt) rows.push(["Queued", duration(last.startedAt - last.queuedAt)], ["Ran", duration((last.endedAt ?? Date.now()) - last.startedAt)]);
  if (visit.endedAt !== null) rows.push(["Ended", fullInstant(visit.endedAt)], ["In all", duration(visit.endedAt - visit.openedAt)]);
  if (visit.retryAt !== null) rows.push(["Tries again", fullInstant(visit.retryAt)]);
  if (visit.dueAt !== null && visit.endedAt === null) rows.push(["Due", fullInstant(visit.dueAt)]);
  if (visit.deadlineAt !== null) rows.push(["Deadline", fullInstant(visit.deadlineAt)]);
  return h("dl.facts", {}, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function fault(visit) {
  const { failure } = visit;
  const recovered = visit.status === "Completed";
  return h("section.part.fault", { class: recovered ? "recovered" : "" }, h("h3", {}, recovered ? "Recovered from" : "Error"),
    h("p.error-line", {}, h("strong", {}, failure.type), " ", failure.message),
    failure.place ? h("p.faint", {}, "python ", h("span.id", {}, failure.place)) : null,
    failure.traceback ? h("details", { open: true }, h("summary", {}, "Traceback"), h("pre.output", { data: { kind: "traceback" } }, failure.traceback)) : null);
}

function attemptView(attempt, visit) {
  const outcome = attempt.outcome ?? (visit.status === "Waiting" ? "Waiting" : "Running");
  const ran = attempt.startedAt !== null ? (attempt.endedAt ?? Date.now()) - attempt.startedAt : attempt.endedAt !== null ? attempt.endedAt - attempt.queuedAt : null;
  const logs = [["stdout", attempt.stdout], ["stderr", attempt.stderr]].filter(([, text]) => text);
  return h("li.attempt", { data: { status: outcome === "Lost" ? "Failed" : outcome } },
    h("div.attempt-head", {}, h("span.dot-mark"), h("strong", {}, `Attempt ${attempt.attempt}`), h("span", {}, outcome === "Lost" ? "lost" : outcome.toLowerCase()), h("span.faint", {}, clock(attempt.startedAt ?? attempt.queuedAt)), ran !== null ? h("span.number", {}, duration(ran)) : null),
    attempt.failure ? h("p.error-line", {}, h("strong", {}, attempt.failure.type), " ", attempt.failure.message) : null,
    attempt.failure?.traceback && attempt.failure !== visit.failure ? h("details", {}, h("summary", {}, "Traceback"), h("pre.output", { data: { kind: "traceback" } }, attempt.failure.traceback)) : null,
    logs.map(([kind, text]) => h("figure.log", {}, h("figcaption", {}, kind), h("pre.output", { data: { kind } }, text))),
    attempt.runner ? h("p.faint.small", {}, `on ${attempt.runner}`) : null);
}

/** The task that waits for a person: found by its execution and step when the button is pressed. */
function taskLink(model, visit) {
  const button = h("button.button.primary", { type: "button", on: { click: find } }, "Open the task");
  async function find() {
    const answer = await get(at`workflows/${model.id}/tasks`, {}).catch(() => null);
    const tasks = Array.isArray(answer) ? answer : answer?.data ?? [];
    const task = tasks.find((each) => each.step === visit.step && (each.status === "Open" || each.status === "Claimed"));
    if (task) location.hash = format(["tasks", task.task_id]);
    else button.replaceWith(h("p.faint", {}, "The task has ended."));
  }
  return h("p", {}, button);
}

function childLink(model, visit) {
  const child = (model.state?.active ?? []).find((each) => each.step === visit.step && each.scope === visit.scope)?.child ?? visit.child;
  return child ? h("p", {}, h("a", { href: format(["executions", child]) }, "Child execution ", h("span.id", {}, child))) : null;
}
