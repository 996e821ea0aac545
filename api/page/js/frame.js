/** What is around every view: brand, ways, namespace, theme, help, messages; and the global keys. */

import { fill, h, isTyping } from "./dom.js";
import { get } from "./http.js";
import { icon } from "./icons.js";
import { navigate } from "./router.js";
import { settings } from "./settings.js";
import { askText, showKeys } from "./widgets/dialogs.js";
import { toast } from "./widgets/toast.js";

const AREAS = [
  ["executions", "Executions", "list"],
  ["tasks", "Tasks", "task"],
  ["definitions", "Definitions", "graph"],
];

/** How often the number of open tasks and the server's health are asked for, while visible. */
const GLANCE_MS = 10_000;
const DOUBT_MS = 2_000;

export function frame() {
  let view = null;
  const links = new Map(AREAS.map(([area, name, sign]) => [area, h("a.way", { href: `#/${area}`, data: { area } }, icon(sign), h("span", {}, name))]));
  const badge = h("span.badge-count", { hidden: true });
  links.get("tasks").append(badge);
  const health = h("button.health", { type: "button", title: "Asking how the deployment is …", on: { click: () => tellHealth(last) } }, h("span.health-dot"));
  const namespace = h("button.chip", { type: "button", title: "Namespace", on: { click: chooseNamespace } }, settings.namespace);
  const theme = h("button.icon-button", { type: "button", on: { click: turnTheme } });
  const main = h("main", { id: "main", tabindex: "-1" });
  let last = null;
  let doubted = false;

  document.body.append(
    h("a.skip", { href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, "Skip to content"),
    h("header.top", {},
      h("a.brand", { href: "#/executions", "aria-label": "heliostat, executions" }, h("img", { src: "page/icon.svg", alt: "", width: 24, height: 24 }), h("span", {}, "heliostat")),
      h("nav.ways", { "aria-label": "Main" }, [...links.values()]),
      h("div.top-end", {}, health, namespace,
        h("button.icon-button.wide-only", { type: "button", title: "Keys (?)", "aria-label": "Keys", on: { click: showKeys } }, icon("keys")), theme)),
    main,
    h("div.toasts", { role: "status", "aria-live": "polite" }),
  );
  drawTheme();
  document.addEventListener("heliostat:theme", drawTheme);
  addEventListener("keydown", keys);
  glance();
  setInterval(glance, GLANCE_MS);
  document.addEventListener("visibilitychange", glance);

  function drawTheme() {
    const dark = settings.theme === "dark";
    const title = dark ? "Light" : "Dark";
    theme.title = title;
    theme.setAttribute("aria-label", `${title} theme`);
    fill(theme, icon(dark ? "sun" : "moon"));
  }

  function turnTheme() {
    settings.setTheme(settings.theme === "dark" ? "light" : "dark");
  }

  async function chooseNamespace() {
    const name = await askText({ title: "Namespace", label: "Definitions and executions of", value: settings.namespace, act: "Show" });
    if (name === null) return;
    settings.setNamespace(name.trim());
    location.hash = "#/executions";
    location.reload();
  }

  async function glance() {
    if (document.visibilityState !== "visible") return;
    const [tasks, state] = await Promise.allSettled([get("tasks", { status: "Open", per_page: 1 }), get("health")]);
    if (tasks.status === "fulfilled") {
      const open = tasks.value.meta?.total ?? tasks.value.data.length;
      badge.hidden = !open;
      badge.textContent = open > 99 ? "99+" : String(open);
      badge.setAttribute("aria-label", `${open} open`);
    }
    const told = state.status === "fulfilled" ? state.value : state.reason?.body?.components ? state.reason.body : { status: "unreachable", message: state.reason?.message };
    // A hiccup is no alarm: what is not well is asked for once more before it is said.
    if (told.status !== "healthy" && !doubted) {
      doubted = true;
      setTimeout(glance, DOUBT_MS);
      return;
    }
    doubted = told.status !== "healthy";
    last = told;
    health.dataset.health = last.status;
    health.title = `Deployment: ${last.status}${last.message ? `. ${last.message}` : ""}`;
    health.setAttribute("aria-label", health.title);
  }

  function tellHealth(state) {
    if (state) toast(`Deployment ${state.status}. ${state.message ?? ""}`);
    glance();
  }

  function keys(event) {
    if (document.querySelector("dialog[open]")) return;
    if (isTyping(event)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (view?.keys?.(event)) return event.preventDefault();
    const area = { 1: "executions", 2: "tasks", 3: "definitions" }[event.key];
    if (area) navigate(`#/${area}`);
    else if (event.key === "?") showKeys();
    else if (event.key === "t") turnTheme();
    else if (event.key === "/") {
      const search = main.querySelector("input[type=search]");
      if (!search) return;
      search.focus();
      search.select();
    } else return;
    event.preventDefault();
  }

  return {
    show(next, area) {
      view = next;
      for (const [name, link] of links) {
        if (name === area) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      document.title = `${next.title} · heliostat`;
      fill(main, next.element);
      main.scrollTop = 0;
      next.start?.();
    },
  };
}
