/** The swimlanes' strokes: takes what is in sight and draws it. Knows pixels and colours, no history. */

import { d3 } from "../vendor.js";
import { duration } from "../format.js";
import { LANE_PADDING, ROW_HEIGHT, ROW_STEP } from "./lanes.js";

export const RULER = 30;
const BAR_MIN = 2;

const INK = {
  Completed: "--completed", Failed: "--failed", Lost: "--failed", Canceled: "--canceled", Skipped: "--skipped",
  Running: "--running", Waiting: "--waiting", Pending: "--pending", Paused: "--paused",
};

export function paintLanes({ canvas, width, height, scroll, view, labels, plot, xOf, msOf, chosen, hover, momentAt }) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const style = getComputedStyle(canvas);
  const ink = (name) => style.getPropertyValue(name).trim();
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = `12px ${ink("--sans")}`;
  pen.textBaseline = "middle";

  const ticks = ticksOf(view.from, msOf(labels), msOf(labels + plot), plot);
  pen.strokeStyle = ink("--line");
  pen.lineWidth = 1;
  for (const tick of ticks) stroke(pen, Math.round(xOf(tick.at)) + 0.5, RULER, Math.round(xOf(tick.at)) + 0.5, height);

  pen.save();
  pen.beginPath();
  pen.rect(0, RULER, width, height - RULER);
  pen.clip();
  for (const lane of view.lanes) {
    const y = lane.y + RULER - scroll;
    if (y > height || y + lane.height < RULER) continue;
    drawLane(pen, ink, { lane, y, width, labels, plot, xOf, chosen, hover, to: view.to });
  }
  pen.restore();

  ruler(pen, ink, ticks, { width, labels, xOf });
  if (momentAt !== null) cursor(pen, ink, Math.round(xOf(momentAt)) + 0.5, height, labels, width);
}

function drawLane(pen, ink, { lane, y, width, labels, plot, xOf, chosen, hover, to }) {
  if (lane.step === chosen) {
    pen.fillStyle = ink("--accent-wash");
    pen.fillRect(0, y, width, lane.height);
  }
  pen.strokeStyle = ink("--line");
  stroke(pen, 0, Math.round(y + lane.height) - 0.5, width, Math.round(y + lane.height) - 0.5);
  pen.fillStyle = ink(lane.bars.length ? "--text" : "--text-faint");
  pen.textAlign = "left";
  const indent = 12 + lane.depth * 14;
  pen.fillText(cut(pen, lane.title, labels - indent - 8), indent, y + lane.height / 2);

  pen.save();
  pen.beginPath();
  pen.rect(labels - 1, y, plot + 4, lane.height);
  pen.clip();
  if (lane.density) drawDensity(pen, ink, lane, y, xOf, labels, plot);
  else for (const bar of lane.bars) drawBar(pen, ink, bar, y, xOf, { labels, plot, to, hover });
  pen.restore();
}

function drawBar(pen, ink, bar, y, xOf, { labels, plot, to, hover }) {
  const left = xOf(bar.start), right = xOf(bar.end ?? to);
  if (right < labels - 2 || left > labels + plot + 2) return;
  const top = y + LANE_PADDING + bar.row * ROW_STEP;
  const colour = ink(INK[bar.outcome] ?? "--pending");
  const from = bar.run === null ? left : Math.max(left, xOf(bar.run));
  const waits = bar.run === null && bar.end === null && bar.outcome === "Waiting";
  // In the queue: a thin line; at a runner: the bar.
  if (from - left > 1) {
    pen.fillStyle = colour;
    pen.globalAlpha = 0.35;
    pen.fillRect(left, top + ROW_HEIGHT / 2 - 1.5, from - left, 3);
    pen.globalAlpha = 1;
  }
  pen.fillStyle = colour;
  pen.globalAlpha = bar.end === null ? (waits ? 0.45 : 0.8) : bar.outcome === "Canceled" || bar.outcome === "Skipped" ? 0.5 : 1;
  pen.beginPath();
  pen.roundRect(from, top, Math.max(BAR_MIN, right - from), ROW_HEIGHT, Math.min(3.5, Math.max(BAR_MIN, right - from) / 2));
  pen.fill();
  pen.globalAlpha = 1;
  if (bar === hover) {
    pen.strokeStyle = ink("--text");
    pen.lineWidth = 1.5;
    pen.stroke();
  }
}

/** How many at once, as an area; failures as ticks on its floor. */
function drawDensity(pen, ink, lane, y, xOf, labels, plot) {
  const { total, failed, most, peak } = lane.density;
  const floor = y + lane.height - 6, tall = lane.height - 12;
  const at = (bin) => xOf(lane.from + (bin / failed.length) * (lane.to - lane.from));
  pen.fillStyle = ink("--completed");
  pen.globalAlpha = 0.75;
  pen.beginPath();
  pen.moveTo(at(0), floor);
  for (let bin = 0; bin < failed.length; bin++) {
    const up = floor - (total[bin] / most) * tall;
    pen.lineTo(at(bin), up);
    pen.lineTo(at(bin + 1), up);
  }
  pen.lineTo(at(failed.length), floor);
  pen.fill();
  pen.globalAlpha = 1;
  pen.fillStyle = ink("--failed");
  for (let bin = 0; bin < failed.length; bin++) if (failed[bin]) pen.fillRect(at(bin), floor - 8, Math.max(2, at(bin + 1) - at(bin)), 10);
  pen.fillStyle = ink("--text-soft");
  pen.textAlign = "right";
  pen.fillText(`${peak ? `up to ${peak.toLocaleString("en-GB")} at once, ` : ""}${lane.bars.length.toLocaleString("en-GB")} in all`, labels + plot - 4, y + 10);
  pen.textAlign = "left";
}

function ruler(pen, ink, ticks, { width, labels, xOf }) {
  pen.fillStyle = ink("--surface");
  pen.fillRect(0, 0, width, RULER);
  pen.strokeStyle = ink("--line-strong");
  stroke(pen, 0, RULER - 0.5, width, RULER - 0.5);
  pen.fillStyle = ink("--text-faint");
  pen.textAlign = "left";
  pen.fillText("Step", 12, RULER / 2);
  pen.textAlign = "center";
  for (const tick of ticks) {
    const x = xOf(tick.at);
    if (x > labels + 8 && x < width - 20) pen.fillText(tick.text, x, RULER / 2);
  }
  pen.textAlign = "left";
}

function cursor(pen, ink, x, height, labels, width) {
  if (x < labels - 2 || x > width) return;
  pen.strokeStyle = pen.fillStyle = ink("--accent");
  pen.lineWidth = 1.5;
  stroke(pen, x, RULER - 8, x, height);
  pen.beginPath();
  pen.moveTo(x - 6, RULER - 14);
  pen.lineTo(x + 6, RULER - 14);
  pen.lineTo(x, RULER - 5);
  pen.fill();
}

/** Round times since the start. */
function ticksOf(start, from, to, plot) {
  const scale = d3.scaleLinear().domain([from - start, to - start]);
  return scale.ticks(Math.max(2, Math.floor(plot / 110))).map((ms) => ({ at: start + ms, text: ms === 0 ? "0" : `+${duration(ms)}` }));
}

function stroke(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 3 && pen.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
