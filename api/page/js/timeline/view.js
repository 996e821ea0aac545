/**
 * Swimlanes on a canvas as large as the pane: only what is in sight is drawn, so that it costs the
 * same for ten steps and for thousands. The ruler scrubs; Ctrl and the wheel zoom; dragging pans.
 *
 * What the canvas shows is also said in words: the lane chosen by the arrow keys in a live region,
 * and everything in the list of events.
 */

import { h, oncePerFrame } from "../dom.js";
import { clock, count, duration, millis, plural } from "../format.js";
import { barAt, lanesOf } from "./lanes.js";
import { paintLanes, RULER } from "./paint.js";

/** A live history is laid out again at most this often. */
const LAYOUT_MS = 250;
const ZOOM_MAX = 2_000;

export function timelineView({ model, moment, onMoment, onOpen }) {
  const canvas = h("canvas", { tabindex: "0", role: "application", "aria-label": "Timeline. Up and down choose a step, Enter opens it; everything is in the list of events too." });
  const spacer = h("div.lanes-spacer");
  const tip = h("div.tip", { hidden: true });
  const told = h("p.hidden", { "aria-live": "polite" });
  const element = h("div.lanes", { hidden: true }, h("div.lanes-stick", {}, canvas), spacer, tip, told);
  const draw = oncePerFrame(paint);
  const watcher = new ResizeObserver(draw);
  watcher.observe(element);

  let view = { lanes: [], height: 0, from: 0, to: 1 };
  let laidOut = { seq: -1, at: 0 };
  let zoom = { scale: 1, at: 0 };
  let chosen = null;
  let hover = null;
  let later = 0;
  let drag = null;

  const labels = () => (element.clientWidth < 560 ? 104 : 190);
  const plot = () => Math.max(50, element.clientWidth - labels() - 16);
  const span = () => (view.to - view.from) / zoom.scale;
  const begin = () => view.from + zoom.at * (view.to - view.from);
  const xOf = (ms) => labels() + ((ms - begin()) / span()) * plot();
  const msOf = (x) => begin() + ((x - labels()) / plot()) * span();

  function update() {
    if (element.hidden) return;
    const now = performance.now();
    const stale = model.fold.seq !== laidOut.seq || !model.fold.endedAt || model.state?.ended_at == null;
    if (stale && now - laidOut.at >= LAYOUT_MS) {
      view = lanesOf(model.graph, model.fold, Date.now(), millis(model.state?.ended_at));
      laidOut = { seq: model.fold.seq, at: now };
      say();
      spacer.style.height = `${Math.max(0, view.height + RULER + 8)}px`;
    } else if (stale && !later) later = setTimeout(() => { later = 0; update(); }, LAYOUT_MS);
    draw();
  }

  /** The chosen lane in words. */
  function say() {
    const lane = view.lanes.find((each) => each.step === chosen);
    const words = lane ? `${lane.title}: ${plural(lane.bars.length, "attempt")}` : "";
    if (told.textContent !== words) told.textContent = words;
  }

  function paint() {
    if (element.hidden || !element.clientWidth) return;
    const seq = moment();
    paintLanes({
      canvas, width: element.clientWidth, height: element.clientHeight, scroll: element.scrollTop, view, labels: labels(), plot: plot(), xOf, msOf, chosen, hover,
      momentAt: seq === null ? null : model.fold.times[seq - 1], status: model.status,
    });
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const laneAt = (y) => {
    const down = y - RULER + element.scrollTop;
    return view.lanes.find((lane) => down >= lane.y && down < lane.y + lane.height) ?? null;
  };

  canvas.addEventListener("pointerdown", (event) => {
    const { x, y } = place(event);
    drag = y < RULER ? { kind: "scrub" } : { kind: "pan", x, at: zoom.at, moved: false };
    if (drag.kind === "scrub") { canvas.setPointerCapture(event.pointerId); scrub(x); }
  });
  canvas.addEventListener("pointermove", (event) => {
    const { x, y } = place(event);
    if (drag?.kind === "scrub") return scrub(x);
    if (drag?.kind === "pan" && Math.abs(x - drag.x) > 3 && zoom.scale > 1) {
      drag.moved = true;
      zoom.at = clamp(drag.at - ((x - drag.x) / plot()) / zoom.scale);
      return draw();
    }
    point(x, y);
  });
  canvas.addEventListener("pointerup", (event) => {
    const { x, y } = place(event);
    const was = drag;
    drag = null;
    if (was?.kind === "pan" && !was.moved) {
      const lane = laneAt(y);
      if (!lane) return;
      const bar = x < labels() ? null : find(lane, x, y);
      chosen = lane.step;
      onOpen(lane.step, bar?.visit.key ?? null);
      draw();
    }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { hover = null; tip.hidden = true; draw(); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomAt(place(event).x, Math.exp(-event.deltaY * 0.002));
  }, { passive: false });
  canvas.addEventListener("keydown", keys);
  element.addEventListener("scroll", draw, { passive: true });
  const themed = () => draw();
  document.addEventListener("heliostat:theme", themed);

  const clamp = (at) => Math.max(0, Math.min(1 - 1 / zoom.scale, at));

  function zoomAt(x, factor) {
    const ms = msOf(x);
    zoom.scale = Math.max(1, Math.min(ZOOM_MAX, zoom.scale * factor));
    zoom.at = clamp((ms - ((x - labels()) / plot()) * span() - view.from) / (view.to - view.from));
    draw();
  }

  function scrub(x) {
    const ms = msOf(Math.max(labels(), Math.min(labels() + plot(), x)));
    onMoment(ms >= view.to ? null : Math.max(1, model.fold.seqAt(ms)));
    draw();
  }

  function find(lane, x, y) {
    return barAt(lane, msOf(x), y - RULER + element.scrollTop, (3 * span()) / plot(), view.to);
  }

  function point(x, y) {
    const lane = y > RULER ? laneAt(y) : null;
    const bar = lane && x > labels() ? find(lane, x, y) : null;
    canvas.style.cursor = y < RULER ? "ew-resize" : lane ? "pointer" : "default";
    hover = bar;
    const words = bar ? wordsOf(bar) : lane?.density && x > labels() ? densityWords(lane, msOf(x)) : null;
    tip.hidden = !words;
    if (words) {
      tip.textContent = words;
      tip.style.left = `${Math.min(x + 12, element.clientWidth - 220)}px`;
      tip.style.top = `${y + 16 + element.scrollTop}px`;
    }
    draw();
  }

  function wordsOf(bar) {
    const item = bar.visit.item !== null ? ` item ${bar.visit.item}` : bar.visit.visit > 1 ? ` visit ${bar.visit.visit}` : "";
    const ran = bar.run !== null ? `, ran ${duration((bar.end ?? Date.now()) - bar.run)} after ${duration(bar.run - bar.start)} in the queue` : bar.end !== null ? `, ${duration(bar.end - bar.start)}` : "";
    return `${bar.visit.step}${item}${bar.attempt > 1 ? ` attempt ${bar.attempt}` : ""}: ${bar.outcome}${ran}`;
  }

  function densityWords(lane, ms) {
    const { total, failed } = lane.density;
    const bin = Math.max(0, Math.min(failed.length - 1, Math.floor(((ms - view.from) / (view.to - view.from)) * failed.length)));
    return `${lane.step} at ${clock(ms)}: ${count(total[bin])} under way${failed[bin] ? `, ${count(failed[bin])} failed` : ""} (of ${count(lane.bars.length)})`;
  }

  function keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      const index = view.lanes.findIndex((lane) => lane.step === chosen);
      const lane = view.lanes[Math.max(0, Math.min(view.lanes.length - 1, index + step))];
      if (!lane) return;
      chosen = lane.step;
      say();
      if (lane.y < element.scrollTop) element.scrollTop = lane.y;
      else if (lane.y + lane.height + RULER > element.scrollTop + element.clientHeight) element.scrollTop = lane.y + lane.height + RULER - element.clientHeight;
      draw();
    } else if (event.key === "Enter" && chosen) onOpen(chosen, null);
    else if (event.key === "+" || event.key === "=") zoomAt(labels() + plot() / 2, 1.5);
    else if (event.key === "-") zoomAt(labels() + plot() / 2, 1 / 1.5);
    else if (event.key === "0") { zoom = { scale: 1, at: 0 }; draw(); }
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") { zoom.at = clamp(zoom.at + (event.key === "ArrowLeft" ? -0.1 : 0.1) / zoom.scale); draw(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    element, update,
    shown(yes) { element.hidden = !yes; if (yes) { laidOut.at = 0; update(); } },
    choose(step) { chosen = step; draw(); },
    /** For tests and the curious: what is drawn. */
    get lanes() { return view.lanes; },
    stop() {
      watcher.disconnect();
      draw.cancel();
      clearTimeout(later);
      document.removeEventListener("heliostat:theme", themed);
    },
  };
}
