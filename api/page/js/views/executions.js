/** The list of executions: searched, filtered, paged by cursor, and asked for again while it is looked at. */

import { fill, h, oncePerFrame } from "../dom.js";
import { duration, count, millis, plural } from "../format.js";
import { get } from "../http.js";
import { icon } from "../icons.js";
import { format, navigate } from "../router.js";
import { emptyState, errorState, loadingState, pageHead, retell, statusBadge, when } from "../widgets/parts.js";
import { startExecution } from "./start.js";

const PER_PAGE = 50;
const POLL_MS = 4_000;
/** While the server is away it is asked less often. */
const POLL_MS_AWAY = 10_000;
/** Rows asked for again by a poll; what lies deeper is as it was loaded. */
const FRESH = 100;

const STATUSES = ["Running", "Waiting", "Paused", "Completed", "Failed", "Canceled"];
const ENDED = new Set(["Completed", "Failed", "Canceled", "Compensated", "CompensationFailed"]);

/** @returns {import("../app.js").View} */
export function executionsView(query) {
  let filter = read(query);
  let rows = [];
  let cursor = null;
  let total = null;
  let error = null;
  let loading = true;
  let chosen = -1;
  let abort = new AbortController();
  let timer = 0;
  let stopped = false;

  const note = h("p.page-note", { "aria-live": "polite" });
  const search = h("input", { type: "search", placeholder: "Search ids and definitions", "aria-label": "Search executions", value: filter.q, on: { input: searched, keydown: leave } });
  const definition = h("select", { "aria-label": "Definition", on: { change: () => refilter({ definition: definition.value }) } }, h("option", { value: "" }, "All definitions"));
  const chips = new Map(["", ...STATUSES].map((status) => [status, h("button.filter", { type: "button", data: status ? { status } : {}, on: { click: () => refilter({ status }) } }, status ? h("span.dot-mark") : null, status || "All")]));
  const list = h("div.rows", { role: "list", "aria-label": "Executions" });
  const more = h("button.button.more", { type: "button", hidden: true, on: { click: loadMore } }, "Show more");
  const element = h("section.page", {},
    pageHead("Executions", note, h("button.button.primary", { type: "button", on: { click: start } }, icon("plus", { size: 14 }), "Start")),
    h("div.toolbar", {}, h("label.search", {}, icon("search"), search, h("kbd", {}, "/")), definition, h("div.filters", { role: "group", "aria-label": "Status" }, [...chips.values()])),
    list, more);

  const draw = oncePerFrame(render);
  let searching = 0;

  function read(from) {
    return { q: from.q ?? "", status: from.status ?? "", definition: from.definition ?? "" };
  }

  function searched() {
    clearTimeout(searching);
    searching = setTimeout(() => refilter({ q: search.value.trim() }), 180);
  }

  function leave(event) {
    if (event.key === "Escape" && search.value) { search.value = ""; refilter({ q: "" }); event.stopPropagation(); }
    if (event.key === "Enter" && rows.length) open(Math.max(0, chosen));
  }

  function refilter(change) {
    filter = { ...filter, ...change };
    navigate(format(["executions"], filter), { replace: true });
    load();
  }

  function parameters() {
    return { q: filter.q, status: filter.status, definition_id: filter.definition };
  }

  /** Begin anew, for another filter. */
  async function load() {
    abort.abort();
    abort = new AbortController();
    Object.assign(chips, {});
    loading = rows.length === 0;
    chosen = -1;
    draw();
    await fetchRows(PER_PAGE, { replace: true });
  }

  async function fetchRows(number, { replace }) {
    const mine = abort;
    try {
      const page = await get("workflows", { ...parameters(), per_page: Math.min(100, number) }, mine.signal);
      if (mine !== abort) return;
      merge(page, replace);
      error = null;
    } catch (trouble) {
      if (mine.signal.aborted) return;
      error = trouble;
    }
    loading = false;
    draw();
  }

  /** The first page anew; rows further down stay, without those that came up. */
  function merge(page, replace) {
    total = page.meta.total;
    if (replace) {
      rows = page.data;
      cursor = page.meta.next_cursor;
      return;
    }
    const ids = new Set(page.data.map((row) => row.workflow_id));
    const rest = rows.slice(page.data.length).filter((row) => !ids.has(row.workflow_id));
    if (rest.length === 0) cursor = page.meta.next_cursor;
    rows = [...page.data, ...rest];
  }

  async function loadMore() {
    const mine = abort;
    more.disabled = true;
    try {
      const page = await get("workflows", { ...parameters(), per_page: PER_PAGE, cursor }, mine.signal);
      if (mine !== abort) return;
      const ids = new Set(rows.map((row) => row.workflow_id));
      rows = [...rows, ...page.data.filter((row) => !ids.has(row.workflow_id))];
      cursor = page.meta.next_cursor;
    } catch (trouble) {
      if (!mine.signal.aborted) error = trouble;
    } finally {
      more.disabled = false;
    }
    draw();
  }

  async function poll() {
    clearTimeout(timer);
    if (stopped) return;
    if (document.visibilityState === "visible") {
      await fetchRows(Math.max(PER_PAGE, Math.min(FRESH, rows.length)), { replace: false });
      if (rows.length > PER_PAGE) draw();
    }
    if (!stopped) timer = setTimeout(poll, error ? POLL_MS_AWAY : POLL_MS);
  }

  function render() {
    for (const [status, chip] of chips) chip.setAttribute("aria-pressed", String(status === filter.status));
    if (search !== document.activeElement) search.value = filter.q;
    definition.value = filter.definition;
    note.textContent = total === null ? "" : filtered() ? `${plural(total, "execution")} found` : plural(total, "execution");
    more.hidden = !cursor;
    if (error && !rows.length) return fill(list, errorState(error, load));
    if (loading) return fill(list, loadingState());
    if (!rows.length) return fill(list, filtered()
      ? emptyState("search", "No execution fits.", h("button.button", { type: "button", on: { click: () => { search.value = ""; refilter({ q: "", status: "", definition: "" }); } } }, "Show all"))
      : emptyState("list", "Nothing has run here yet.", "Start an execution of a registered definition, or register one:", h("code.hint", {}, "heliostat run FILE")));
    const at = document.activeElement?.closest?.("[data-row]")?.dataset.row;
    fill(list, error ? h("p.stale", { role: "alert" }, "The server does not answer; this is what it said last.") : null, rows.map(rowOf));
    if (at) list.querySelector(`[data-row="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
  }

  function filtered() {
    return Boolean(filter.q || filter.status || filter.definition);
  }

  function rowOf(row, index) {
    const from = millis(row.created_at), to = millis(row.ended_at) ?? (ENDED.has(row.status) ? null : Date.now());
    return h("a.row", { href: format(["executions", row.workflow_id]), role: "listitem", data: { row: row.workflow_id, status: row.status }, class: index === chosen ? "chosen" : "" },
      statusBadge(row.status),
      h("span.row-main", {}, h("span.id", {}, row.workflow_id), Object.entries(row.labels ?? {}).slice(0, 3).map(([key, value]) => h("span.label", {}, `${key}=${value}`)), row.run > 1 ? h("span.label", {}, `run ${row.run}`) : null),
      h("span.row-definition", {}, row.definition_id, h("span.faint", {}, ` ${row.version}`)),
      h("span.row-when", {}, when(row.created_at)),
      h("span.row-took", {}, from !== null && to !== null ? duration(to - from) : ""));
  }

  function open(index) {
    if (rows[index]) navigate(format(["executions", rows[index].workflow_id]));
  }

  async function start() {
    const id = await startExecution({ definition: filter.definition || undefined });
    if (id) navigate(format(["executions", id]));
  }

  async function loadDefinitions() {
    try {
      const page = await get("workflow-definitions", { per_page: 100 });
      for (const each of page.data) definition.append(h("option", { value: each.id }, each.id));
      if (page.meta.total > page.data.length) definition.append(h("option", { disabled: true }, `${count(page.meta.total - page.data.length)} more: search for them`));
      definition.value = filter.definition;
    } catch {
      // The list says that the server is away.
    }
  }

  function keys(event) {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step) {
      chosen = Math.max(0, Math.min(rows.length - 1, chosen + step));
      render();
      const row = list.querySelectorAll("[data-row]")[chosen];
      row?.focus({ preventScroll: true });
      row?.scrollIntoView({ block: "nearest" });
      return true;
    }
    if (event.key === "n") return start(), true;
    return false;
  }

  const visible = () => { if (document.visibilityState === "visible") poll(); };

  return {
    title: "Executions",
    element,
    keys,
    place(query) { filter = read(query); load(); },
    start() {
      load().then(() => { if (!stopped) timer = setTimeout(poll, POLL_MS); });
      loadDefinitions();
      document.addEventListener("visibilitychange", visible);
      this.clock = setInterval(() => retell(element), 5_000);
    },
    stop() {
      stopped = true;
      abort.abort();
      clearTimeout(timer);
      clearInterval(this.clock);
      draw.cancel();
      document.removeEventListener("visibilitychange", visible);
    },
  };
}
