/** Every event as it was recorded, of which only those in sight exist; one is opened beside the list. */

import { fill, h } from "../dom.js";
import { clock, count, fullInstant } from "../format.js";
import { jsonView } from "../widgets/json.js";
import { virtualList } from "../widgets/virtual.js";
import { tell, toneOf } from "../model/story.js";

export function eventsTab({ model, onMoment }) {
  let filter = "";
  let matches = null;
  let matched = 0;
  const search = h("input", { type: "search", placeholder: "Type, step or text", "aria-label": "Search events", on: { input: refilter } });
  const note = h("span.faint");
  const detail = h("aside.event-detail", { hidden: true, "aria-label": "Event" });
  const list = virtualList({ rowHeight: 32, row, label: "Events", onOpen: (index) => open(eventAt(index)) });
  const element = h("div.events-tab", {}, h("div.toolbar", {}, h("label.search", {}, search), note), h("div.events-split", {}, list.element, detail));

  const eventAt = (index) => model.fold.events[matches ? matches[index] : index];

  function refilter() {
    filter = search.value.trim().toLowerCase();
    matches = filter ? [] : null;
    matched = 0;
    update();
  }

  function update() {
    const { events } = model.fold;
    if (matches) {
      for (; matched < events.length; matched++) if (fits(events[matched])) matches.push(matched);
    }
    const number = matches ? matches.length : events.length;
    note.textContent = matches ? `${count(number)} of ${count(events.length)}` : model.head > events.length ? `${count(events.length)} of ${count(model.head)} loaded` : "";
    list.update(number, { end: !model.state?.ended_at });
  }

  function fits(event) {
    return event.type.includes(filter) || (event.at?.step ?? "").toLowerCase().includes(filter) || tell(event).toLowerCase().includes(filter);
  }

  function row(index) {
    const event = eventAt(index);
    return h("div.event", { data: { tone: toneOf(event) } },
      h("span.event-seq", {}, String(event.seq)), h("time.event-at", {}, clock(event.at_ms)), h("span.event-type", {}, event.type), h("span.event-words", {}, tell(event)));
  }

  function open(event) {
    if (!event) return;
    detail.hidden = false;
    fill(detail, h("header.panel-head", {}, h("h2", {}, event.type), h("button.button.small", { type: "button", on: { click: () => onMoment(event.seq) } }, "Show this moment"),
      h("button.icon-button", { type: "button", "aria-label": "Close", on: { click: () => { detail.hidden = true; } } }, "×")),
    h("p.faint", {}, `event ${event.seq} · ${fullInstant(event.at_ms)}`), traces(event), jsonView(event, { label: "event" }));
  }

  function traces(event) {
    const source = event.failure ?? event.recovered ?? {};
    return ["traceback", "stdout", "stderr"].map((name) => (source[name] ?? event[name] ? h("pre.output", { data: { kind: name } }, source[name] ?? event[name]) : null));
  }

  return { element, update, stop: () => list.stop() };
}

