/** One human task: what the person is shown, and the form of the answer. */

import { fill, h } from "../dom.js";
import { fullInstant } from "../format.js";
import { schemaForm } from "../form/fields.js";
import { pathOf } from "../form/schema.js";
import { at, get, post } from "../http.js";
import { icon } from "../icons.js";
import { format } from "../router.js";
import { settings } from "../settings.js";
import { askText, UserError } from "../widgets/dialogs.js";
import { jsonView } from "../widgets/json.js";
import { emptyState, errorState, loadingState, pageHead, statusBadge, when } from "../widgets/parts.js";
import { toast } from "../widgets/toast.js";

const POLL_MS = 5_000;

/** What a person may say about a step that failed. */
const RESOLUTION = {
  type: "object", required: ["resolution"],
  properties: {
    resolution: { type: "string", title: "How it goes on", enum: ["retry", "complete", "fail"], default: "retry", description: "Try the step again, go on with an output of yours, or let it fail." },
    output: { title: "Output", description: "Of the step, where you complete it." },
  },
};

/** @returns {import("../app.js").View} */
export function taskView(id) {
  const life = new AbortController();
  let task = null;
  let form = null;
  let timer = 0;
  const element = h("section.page.narrow", {}, loadingState(3));

  async function load() {
    clearTimeout(timer);
    try {
      const next = await get(at`tasks/${id}`, {}, life.signal);
      const changed = !task || next.status !== task.status || next.claimed_by !== task.claimed_by;
      task = next;
      if (changed) draw();
    } catch (error) {
      if (life.signal.aborted) return;
      if (!task) fill(element, pageHead("Task", null), errorState(error, load));
    }
    if (!life.signal.aborted && isOpen()) timer = setTimeout(load, POLL_MS);
  }

  const isOpen = () => task === null || task.status === "Open" || task.status === "Claimed";
  const people = () => [...(task.assignees ?? []), ...(task.candidates ?? [])];

  function draw() {
    // What was typed survives a change of who has claimed it.
    const typed = form && isOpen() ? readQuietly() : undefined;
    form = isOpen() ? schemaForm(task.task_type === "intervention" && !task.form ? RESOLUTION : task.form ?? {}, typed) : null;
    fill(element,
      h("a.back-link", { href: "#/tasks" }, icon("back", { size: 14 }), "Tasks"),
      pageHead(task.name || task.step, h("p.page-note", {}, statusBadge(task.status), " ", h("a", { href: format(["executions", task.workflow_id], { step: task.step }) }, h("span.id", {}, task.workflow_id)), " · ", task.claimed_by ? `claimed by ${task.claimed_by}` : `for ${people().join(", ") || "anybody"}`, " · asked ", when(task.created_at))),
      task.deadline ? h("p.notice", {}, icon("timer", { size: 14 }), "Due ", when(task.deadline), h("span.faint", {}, ` (${fullInstant(task.deadline)})`)) : null,
      task.error ? h("section.part.fault", {}, h("h3", {}, "What failed"), h("p.error-line", {}, h("strong", {}, task.error.type), " ", task.error.message), task.error.traceback ? h("pre.output", {}, task.error.traceback) : null) : null,
      task.input !== null && task.input !== undefined ? h("section.card", {}, h("h2", {}, "What it is about"), facts(task.input)) : null,
      form ? answer() : task.output !== undefined && task.output !== null ? h("section.card", {}, h("h2", {}, "Answer"), jsonView(task.output, { label: "answer" })) : emptyState("Completed", `This task is ${task.status}.`));
  }

  function readQuietly() {
    try {
      return form.read();
    } catch {
      return undefined;
    }
  }

  /** Flat values read as a list of facts, anything else as JSON. */
  function facts(input) {
    const flat = input && typeof input === "object" && !Array.isArray(input) && Object.values(input).every((each) => each === null || typeof each !== "object");
    return flat ? h("dl.facts", {}, Object.entries(input).map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])) : jsonView(input, { label: "input" });
  }

  function answer() {
    const trouble = h("p.trouble", { role: "alert", hidden: true });
    const send = h("button.button.primary", { type: "submit" }, "Complete");
    const claim = task.claimed_by ? h("button.button", { type: "button", on: { click: () => act("release", {}) } }, "Give back") : h("button.button", { type: "button", on: { click: doClaim } }, "Claim");
    return h("form.card", { novalidate: true, on: { submit: complete } }, h("h2", {}, "Your answer"), form.element, trouble, h("div.form-foot", {}, claim, send));

    async function complete(event) {
      event.preventDefault();
      trouble.hidden = true;
      try {
        if (!form.check()) return;
        send.disabled = true;
        await post(at`tasks/${id}/complete`, { output: form.read() });
        toast("Done. The workflow goes on with your answer.");
        await load();
      } catch (error) {
        if (error instanceof UserError) return;
        refuse(error);
      } finally {
        send.disabled = false;
      }
    }

    /** What the server refused: at the fields that it names, the rest below the form. */
    function refuse(error) {
      const fields = (error.details?.fields ?? error.details?.diagnostics ?? []).filter((each) => each.field);
      const found = fields.length && !form.faults(fields.map((each) => ({ path: pathOf(each.field), message: each.message })));
      if (found) return;
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
  }

  async function doClaim() {
    if (!settings.user) {
      const name = await askText({ title: "Who are you?", label: "Name", hint: "Stands in the history of what you claim and complete.", act: "Claim" });
      if (!name?.trim()) return;
      settings.setUser(name.trim());
    }
    await act("claim", { assignee: settings.user });
  }

  async function act(verb, body) {
    try {
      await post(at`tasks/${id}/${verb}`, body);
      await load();
    } catch (error) {
      toast(error.message, { error: true });
      load();
    }
  }

  return { title: "Task", element, start: load, keys: (event) => { if (event.key === "Escape") { location.hash = "#/tasks"; return true; } return false; }, stop() { life.abort(); clearTimeout(timer); } };
}
