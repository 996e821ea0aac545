/**
 * A list of very many rows of one height, of which only those in sight exist. Rows are made by
 * `row(index)`; the box scrolls, arrow keys choose.
 */

import { h, oncePerFrame } from "../dom.js";

/** Rows made beyond both edges, so that scrolling shows no gaps. */
const SPARE = 8;
/** Browsers cut elements at about 2^24 px: of more rows than fit, the height is shared. */
const HEIGHT_MAX = 8_000_000;

/**
 * @param {{rowHeight: number, row: (index: number) => HTMLElement, label: string, onOpen?: (index: number) => void}} options
 */
export function virtualList({ rowHeight, row, label, onOpen }) {
  let total = 0;
  let chosen = -1;
  const space = h("div.virtual-space");
  const element = h("div.virtual", { tabindex: "0", role: "listbox", "aria-label": label, on: { keydown: keys, click: clicked } }, space);
  const later = oncePerFrame(render);
  element.addEventListener("scroll", later, { passive: true });
  const watcher = new ResizeObserver(later);
  watcher.observe(element);

  const height = () => Math.min(total * rowHeight, HEIGHT_MAX);
  /** Pixels of scrolling for a pixel of rows; 1 unless the list is too tall. */
  const scale = () => {
    const rows = total * rowHeight - element.clientHeight, real = height() - element.clientHeight;
    return rows > 0 && real > 0 ? real / rows : 1;
  };

  function render() {
    const shown = element.clientHeight || 400;
    const top = element.scrollTop / scale();
    const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
    const last = Math.min(total, Math.ceil((top + shown) / rowHeight) + SPARE);
    const rows = [];
    for (let index = first; index < last; index++) {
      const each = row(index);
      each.classList.add("virtual-row");
      each.dataset.index = String(index);
      each.setAttribute("role", "option");
      each.setAttribute("aria-selected", String(index === chosen));
      each.setAttribute("aria-setsize", String(total));
      each.setAttribute("aria-posinset", String(index + 1));
      each.id = `${label.replace(/\W/g, "")}-${index}`;
      each.style.transform = `translateY(${element.scrollTop + index * rowHeight - top}px)`;
      rows.push(each);
    }
    space.style.height = `${height()}px`;
    space.replaceChildren(...rows);
    if (chosen >= 0) element.setAttribute("aria-activedescendant", `${label.replace(/\W/g, "")}-${chosen}`);
  }

  function choose(index) {
    chosen = Math.max(0, Math.min(total - 1, index));
    const top = element.scrollTop / scale();
    const y = chosen * rowHeight;
    if (y < top) element.scrollTop = y * scale();
    else if (y + rowHeight > top + element.clientHeight) element.scrollTop = (y + rowHeight - element.clientHeight) * scale();
    render();
  }

  function clicked(event) {
    const at = event.target.closest("[data-index]");
    if (!at) return;
    choose(Number(at.dataset.index));
    onOpen?.(chosen);
  }

  function keys(event) {
    const page = Math.max(1, Math.floor(element.clientHeight / rowHeight) - 1);
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) choose(step === Infinity ? total - 1 : step === -Infinity ? 0 : chosen + step);
    else if (event.key === "Enter" && chosen >= 0) onOpen?.(chosen);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    element,
    /** There are so many rows now; those in sight are made again. `end`: stay at the end, if there. */
    update(number, { end = false } = {}) {
      const atEnd = element.scrollTop + element.clientHeight >= height() - rowHeight;
      total = number;
      space.style.height = `${height()}px`;
      if (end && atEnd) element.scrollTop = height();
      later();
    },
    choose,
    get chosen() { return chosen; },
    stop() { watcher.disconnect(); later.cancel(); },
  };
}
