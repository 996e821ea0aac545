/** The registered definitions, the newest version of each. */

import { fill, h } from "../dom.js";
import { plural } from "../format.js";
import { get } from "../http.js";
import { icon } from "../icons.js";
import { format, navigate } from "../router.js";
import { emptyState, errorState, loadingState, pageHead, when } from "../widgets/parts.js";

const PER_PAGE = 50;

/** @returns {import("../app.js").View} */
export function definitionsView(query) {
  let filter = query.q ?? "";
  let rows = null;
  let meta = null;
  let chosen = -1;
  let life = new AbortController();
  let waiting = 0;
  const note = h("p.page-note", { "aria-live": "polite" });
  const search = h("input", { type: "search", placeholder: "Search, or tag=value", "aria-label": "Search definitions", value: filter, on: { input: () => { clearTimeout(waiting); waiting = setTimeout(refilter, 180); } } });
  const list = h("div.rows.cards", { role: "list", "aria-label": "Definitions" });
  const more = h("button.button.more", { type: "button", hidden: true, on: { click: () => load(meta.next_cursor) } }, "Show more");
  const element = h("section.page", {}, pageHead("Definitions", note), h("div.toolbar", {}, h("label.search", {}, icon("search"), search, h("kbd", {}, "/"))), list, more);

  function refilter() {
    filter = search.value.trim();
    navigate(format(["definitions"], { q: filter }), { replace: true });
    load();
  }

  async function load(cursor) {
    life.abort();
    life = new AbortController();
    const mine = life;
    if (!rows) fill(list, loadingState(4));
    try {
      const page = await get("workflow-definitions", { per_page: PER_PAGE, filter, cursor }, mine.signal);
      rows = cursor ? [...rows, ...page.data] : page.data;
      meta = page.meta;
      render();
    } catch (error) {
      if (!mine.signal.aborted) fill(list, errorState(error, () => load()));
    }
  }

  function render() {
    note.textContent = plural(meta.total, "definition");
    more.hidden = !meta.next_cursor;
    if (!rows.length) return fill(list, filter ? emptyState("search", "No definition fits.") : emptyState("graph", "Nothing is registered yet.", h("code.hint", {}, "heliostat register FILE")));
    fill(list, rows.map((row, index) => h("a.row.definition-row", { href: format(["definitions", row.id]), role: "listitem", data: { row: row.id }, class: index === chosen ? "chosen" : "" },
      h("span.definition-sign", {}, icon("graph")),
      h("span.row-main", {}, h("span.row-title", {}, row.name || row.id), row.name && row.name !== row.id ? h("span.id.faint", {}, row.id) : null, row.description ? h("span.row-note", {}, row.description) : null),
      h("span.row-definition", {}, `version ${row.version}`, Object.entries(row.tags ?? {}).slice(0, 2).map(([key, value]) => h("span.label", {}, `${key}=${value}`))),
      h("span.row-took", {}, row.steps != null ? plural(row.steps, "step") : ""), h("span.row-when", {}, when(row.registered_at)))));
  }

  function keys(event) {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step || !rows?.length) return false;
    chosen = Math.max(0, Math.min(rows.length - 1, chosen + step));
    render();
    list.querySelectorAll("[data-row]")[chosen]?.focus();
    return true;
  }

  return { title: "Definitions", element, keys, place(next) { filter = search.value = next.q ?? ""; load(); }, start: () => load(), stop: () => life.abort() };
}
