/** Puts the page together: frame, routes, keys. Views are made when they are shown. */

import { frame } from "./frame.js";
import { watch } from "./router.js";
import { executionsView } from "./views/executions.js";
import { executionView } from "./views/execution.js";
import { definitionsView } from "./views/definitions.js";
import { definitionView } from "./views/definition.js";
import { tasksView } from "./views/tasks.js";
import { taskView } from "./views/task.js";
import { notFoundView } from "./views/states.js";

/**
 * A view: `element` is put in the page, then `start` is called; `stop` when another one is shown.
 * `place` may be called with a new query instead, where the parts of the address are the same.
 * @typedef {{element: HTMLElement, title: string, start?: () => void, stop?: () => void, place?: (query: Record<string, string>) => void, keys?: (event: KeyboardEvent) => boolean | void}} View
 */

const ROUTES = {
  executions: (parts, query) => (parts.length ? executionView(parts[0], query) : executionsView(query)),
  tasks: (parts, query) => (parts.length ? taskView(parts[0], query) : tasksView(query)),
  definitions: (parts, query) => (parts.length ? definitionView(parts[0], query) : definitionsView(query)),
};

const shell = frame();
let shown = null;
let address = null;

watch(({ parts, query }) => {
  const [area = "executions", ...rest] = parts;
  const key = JSON.stringify([area, rest]);
  if (key === address && shown?.place) return shown.place(query);
  shown?.stop?.();
  address = key;
  const make = Object.hasOwn(ROUTES, area) ? ROUTES[area] : null;
  shown = make ? make(rest, query) : notFoundView(area);
  shell.show(shown, area);
});
