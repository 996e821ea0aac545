/** The view of an address that means nothing. */

import { h } from "../dom.js";
import { emptyState } from "../widgets/parts.js";

export function notFoundView(what) {
  return { title: "Not found", element: h("section.page", {}, emptyState("search", `There is no page “${what}”.`, h("a.button", { href: "#/executions" }, "To the executions"))) };
}
