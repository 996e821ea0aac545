/** Line icons on a 16 × 16 grid, as path data; what draws them sets stroke and size. */

import { s } from "./dom.js";

const PATHS = {
  // step types
  activity: "M9 1.5 3.5 9h4L7 14.5 12.5 7h-4z",
  decision: "M8 1.8 14.2 8 8 14.2 1.8 8z",
  human: "M8 8a2.8 2.8 0 1 0 0-5.6A2.8 2.8 0 0 0 8 8zM2.8 14c.5-2.6 2.5-4 5.2-4s4.7 1.4 5.2 4",
  timer: "M8 14.2A5.6 5.6 0 1 0 8 3a5.6 5.6 0 0 0 0 11.2zM8 5.8v3l2 1.4M6.2 1.3h3.6",
  wait: "M4 1.8h8M4 14.2h8M4.8 1.8c0 3.6 3.2 4 3.2 6.2s-3.2 2.6-3.2 6.2M11.2 1.8c0 3.6-3.2 4-3.2 6.2s3.2 2.6 3.2 6.2",
  script: "M2.5 4.5 6 8l-3.5 3.5M8 12h5.5",
  service_call: "M8 14.3A6.3 6.3 0 1 0 8 1.7a6.3 6.3 0 0 0 0 12.6zM1.7 8h12.6M8 1.7c2 2 2.6 4 2.6 6.3S10 12.3 8 14.3C6 12.3 5.4 10.3 5.4 8S6 3.7 8 1.7z",
  sub_workflow: "M2 2.5h7v5H2zM7 8.5h7v5H7zM4.5 7.5v3.5H7",
  parallel: "M8 2v3M8 5c0 2-4.5 1.5-4.5 4v4.5M8 5c0 2 4.5 1.5 4.5 4v4.5M8 5v8.5",
  body: "M2.5 4.5a2 2 0 0 1 2-2h7a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2zM5.5 8h5M8 5.5v5",
  // statuses
  Completed: "M3 8.5 6.5 12 13 4.5",
  Failed: "M4 4l8 8M12 4l-8 8",
  Running: "M8 2a6 6 0 1 1-6 6",
  Waiting: "M5.5 3.5v9M10.5 3.5v9",
  Paused: "M5.5 3.5v9M10.5 3.5v9",
  Canceled: "M3.2 12.8 12.8 3.2M8 14.3A6.3 6.3 0 1 0 8 1.7a6.3 6.3 0 0 0 0 12.6z",
  Skipped: "M2.5 8h8M8 4.5 11.5 8 8 11.5M13.5 4v8",
  Pending: "",
  Open: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11z",
  Claimed: "M8 8a2.8 2.8 0 1 0 0-5.6A2.8 2.8 0 0 0 8 8zM2.8 14c.5-2.6 2.5-4 5.2-4s4.7 1.4 5.2 4",
  // acts
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  rotate: "M2 5.5h8a3 3 0 0 1 3 3V14M2 5.5 5 2.5M2 5.5 5 8.5M13 14l-2.5-2.5M13 14l2.5-2.5",
  play: "M4.5 2.5v11l9-5.5z",
  live: "M8 9.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3zM4.5 11.5a5 5 0 0 1 0-7M11.5 4.5a5 5 0 0 1 0 7",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7 14 14",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3.1 3.1l1 1M11.9 11.9l1 1M12.9 3.1l-1 1M4.1 11.9l-1 1",
  moon: "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z",
  keys: "M1.5 4h13v8h-13zM4 6.5h.1M7 6.5h.1M10 6.5h.1M12.5 6.5h.1M5 9.5h6",
  list: "M2 4h12M2 8h12M2 12h12",
  task: "M2.5 3.5a1 1 0 0 1 1-1h9a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1zM5 8l2 2 4-4",
  graph: "M3 2.5h4v3H3zM9 10.5h4v3H9zM5 5.5V9a3 3 0 0 0 3 3h1",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  more: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  stop: "M3.5 3.5h9v9h-9z",
  retry: "M13 8a5 5 0 1 1-1.7-3.7M13 1.8v3h-3",
  signal: "M2 8h3l2-5 3 10 2-5h2",
  back: "M9.5 3.5 5 8l4.5 4.5",
};

/** An icon as an element. */
export function icon(name, { size = 16, ...props } = {}) {
  return s("svg.icon", { viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true", ...props }, s("path", { d: PATHS[name] ?? "" }));
}

/** The path alone, for drawing within another picture. */
export function iconPath(name) {
  return PATHS[name] ?? PATHS.activity;
}
