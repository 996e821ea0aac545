/** The scrubber below the graph: any moment of the history, or now. */

import { fill, h } from "../dom.js";
import { clock, count, duration } from "../format.js";
import { icon } from "../icons.js";

/** A replay of a longer execution is faster, so that nobody watches for an hour. */
const REPLAY_MS_MAX = 12_000;
/** What the slider divides the execution into. */
const STEPS = 2_000;

export function replayBar({ model, moment, onMoment }) {
  let playing = 0;
  const slider = h("input.scrubber", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": "Moment of the history", on: { input: scrubbed } });
  const play = h("button.icon-button", { type: "button", on: { click: toggle } }, icon("play"));
  const told = h("span.moment", { "aria-live": "off" });
  const now = h("button.chip.now", { type: "button", title: "Back to now (Esc)", on: { click: () => { pause(); onMoment(null); } } }, icon("live", { size: 13 }), "now");
  const ticks = h("canvas.ticks", { "aria-hidden": "true" });
  const element = h("div.replay", { role: "group", "aria-label": "Replay" }, play, h("div.scrub", {}, ticks, slider), told, now);

  const begin = () => model.fold.startedAt ?? 0;
  const span = () => Math.max(1, (model.fold.endedAt ?? 0) - begin());

  function scrubbed() {
    pause();
    const seq = model.fold.seqAt(begin() + (span() * slider.value) / STEPS);
    onMoment(Number(slider.value) === STEPS ? null : Math.max(1, seq));
  }

  function toggle() {
    if (playing) return pause(), update();
    const from = moment() === null || moment() >= model.fold.seq ? begin() : model.fold.times[moment() - 1];
    const speed = Math.max(1, span() / REPLAY_MS_MAX);
    const started = performance.now();
    const step = (at) => {
      const ms = from + (at - started) * speed;
      if (ms >= begin() + span()) { playing = 0; return onMoment(null); }
      playing = requestAnimationFrame(step);
      onMoment(Math.max(1, model.fold.seqAt(ms)));
    };
    playing = requestAnimationFrame(step);
  }

  function pause() {
    cancelAnimationFrame(playing);
    playing = 0;
  }

  let drawn = "";
  function update() {
    const { fold } = model;
    const seq = moment();
    slider.disabled = play.disabled = fold.seq < 2;
    const at = seq === null ? fold.endedAt : fold.times[seq - 1];
    slider.value = String(seq === null ? STEPS : Math.round(((at - begin()) / span()) * STEPS));
    slider.style.setProperty("--at", `${(slider.value / STEPS) * 100}%`);
    const loading = !model.loaded && !model.truncated && fold.seq < model.head;
    const words = fold.seq === 0 ? "loading the history …"
      : seq === null ? (loading ? `${count(fold.seq)} of ${count(model.head)} events` : model.truncated ? `the first ${count(fold.seq)} of ${count(model.head)} events` : `${count(fold.seq)} events · ${duration(span())}`)
      : `${clock(at)} · ${duration(at - begin())} in · event ${count(seq)} of ${count(fold.seq)}`;
    told.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    now.disabled = seq === null;
    const sign = playing ? "pause" : "play";
    if (play.dataset.sign !== sign) {
      play.dataset.sign = sign;
      fill(play, icon(sign));
      play.title = playing ? "Pause (space)" : "Replay (space)";
      play.setAttribute("aria-label", play.title);
    }
    const key = `${fold.seq} ${ticks.clientWidth} ${document.documentElement.dataset.theme}`;
    if (key !== drawn) { drawn = key; drawTicks(); }
  }

  /** Where something happened, as density. */
  function drawTicks() {
    const width = ticks.clientWidth, height = ticks.clientHeight;
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    ticks.width = width * ratio;
    ticks.height = height * ratio;
    const bins = new Uint32Array(Math.ceil(width / 3));
    let most = 1;
    for (const at of model.fold.times) {
      const bin = Math.min(bins.length - 1, Math.floor(((at - begin()) / span()) * bins.length));
      most = Math.max(most, ++bins[bin]);
    }
    const pen = ticks.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = getComputedStyle(element).getPropertyValue("--line-strong");
    bins.forEach((number, i) => {
      if (!number) return;
      const tall = 2 + (height - 2) * Math.sqrt(number / most);
      pen.fillRect(i * 3, height - tall, 2, tall);
    });
  }

  return { element, update, toggle, stop: pause, get playing() { return playing !== 0; } };
}
