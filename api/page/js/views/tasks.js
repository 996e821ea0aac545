/** What waits for people: an inbox. */

import { fill, h } from "../dom.js";
import { plural } from "../format.js";
import { get } from "../http.js";
import { icon } from "../icons.js";
import { format, navigate } from "../router.js";
import { settings } from "../settings.js";
import { askText } from "../widgets/dialogs.js";
import { emptyState, errorState, loadingState, pageHead, retell, statusBadge, when } from "../widgets/parts.js";

const POLL_MS = 5_000;
const PER_PAGE = 50;

/** @returns {import("../app.js").View} */
export function tasksView(query) {
  let filter = query.show === "all" ? "all" : query.show === "mine" ? "mine" : "open";
  let tasks = null;
  let meta = null;
  let error = null;
  let timer = 0;
  let chosen = -1;
  const life = new AbortController();

  const note = h("p.page-note", { "aria-live": "polite" });
  const me = h("button.chip", { type: "button", on: { click: sayWho } });
  const chips = new Map([["open", "To do"], ["mine", "Mine"], ["all", "All"]].map(([key, label]) => [key, h("button.filter", { type: "button", on: { click: () => choose(key) } }, label)]));
  const list = h("div.rows", { role: "list", "aria-label": "Tasks" });
  const more = h("button.button.more", { type: "button", hidden: true, on: { click: loadMore } }, "Show more");
  const element = h("section.page", {}, pageHead("Tasks", note, me), h("div.toolbar", {}, h("div.filters", { role: "group", "aria-label": "Which" }, [...chips.values()])), list, more);

  function choose(key) {
    filter = key;
    tasks = null;
    chosen = -1;
    navigate(format(["tasks"], { show: key === "open" ? "" : key }), { replace: true });
    render();
    load();
  }

  function parameters() {
    return { per_page: PER_PAGE, status: filter === "all" ? undefined : "Open,Claimed", assignee: filter === "mine" ? settings.user || undefined : undefined };
  }

  async function load() {
    clearTimeout(timer);
    try {
      const page = await get("tasks", parameters(), life.signal);
      const ids = new Set(page.data.map((task) => task.task_id));
      const rest = (tasks ?? []).slice(page.data.length).filter((task) => !ids.has(task.task_id));
      tasks = [...page.data, ...rest];
      meta = rest.length ? { ...page.meta, next_cursor: meta?.next_cursor ?? null } : page.meta;
      error = null;
    } catch (trouble) {
      if (life.signal.aborted) return;
      error = trouble;
    }
    render();
    if (!life.signal.aborted) timer = setTimeout(() => (document.visibilityState === "visible" ? load() : (timer = setTimeout(load, POLL_MS))), POLL_MS);
  }

  async function loadMore() {
    const page = await get("tasks", { ...parameters(), cursor: meta.next_cursor }, life.signal);
    tasks = [...tasks, ...page.data];
    meta = { ...page.meta, total: meta.total };
    render();
  }

  async function sayWho() {
    const name = await askText({ title: "Who are you?", label: "Name", value: settings.user, hint: "Stands in the history of what you claim and complete. There are no passwords yet.", act: "Save" });
    if (name === null) return;
    settings.setUser(name.trim());
    render();
    load();
  }

  function render() {
    for (const [key, chip] of chips) chip.setAttribute("aria-pressed", String(key === filter));
    fill(me, icon("human", { size: 13 }), settings.user || "Who are you?");
    note.textContent = meta ? plural(meta.total, filter === "all" ? "task" : "open task") : "";
    more.hidden = !meta?.next_cursor;
    if (error && !tasks) return fill(list, errorState(error, load));
    if (!tasks) return fill(list, loadingState(4));
    if (!tasks.length) return fill(list, emptyState("task", filter === "all" ? "Nobody was asked for anything yet." : "Nothing waits for a person.", filter === "mine" && !settings.user ? "Say who you are to see yours." : null));
    fill(list, error ? h("p.stale", { role: "alert" }, "The server does not answer; this is what it said last.") : null, tasks.map(rowOf));
  }

  function rowOf(task, index) {
    const people = task.claimed_by ? `claimed by ${task.claimed_by}` : [...(task.assignees ?? []), ...(task.candidates ?? [])].join(", ") || "anybody";
    return h("a.row.task-row", { href: format(["tasks", task.task_id]), role: "listitem", class: index === chosen ? "chosen" : "", data: { row: task.task_id, status: task.status } },
      statusBadge(task.status), h("span.row-main", {}, h("span.row-title", {}, task.name || task.step), h("span.id.faint", {}, task.workflow_id)),
      h("span.row-definition", {}, people), h("span.row-when", {}, when(task.created_at)), h("span.row-took", {}, task.deadline ? h("span", {}, "due ", when(task.deadline)) : ""));
  }

  function keys(event) {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step || !tasks?.length) return false;
    chosen = Math.max(0, Math.min(tasks.length - 1, chosen + step));
    render();
    list.querySelectorAll("[data-row]")[chosen]?.focus();
    return true;
  }

  const clock = setInterval(() => retell(element), 5_000);
  return { title: "Tasks", element, keys, place(next) { filter = next.show ?? "open"; tasks = null; render(); load(); }, start: () => { render(); load(); }, stop() { life.abort(); clearTimeout(timer); clearInterval(clock); } };
}
