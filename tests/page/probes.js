// What tests ask inside the browser, by name: an object of functions, evaluated by `browser.probe`.
({
  /** Fold histories; of each the end, and whether every earlier moment is found again. */
  async fold(told) {
    const { Fold } = await import("/page/js/model/fold.js");
    return told.map(({ graph, events }) => {
      const fold = new Fold(graph);
      const prefixes = [];
      for (const event of events) {
        fold.book(event);
        prefixes.push(JSON.stringify(fold.stepsAt(event.seq)));
      }
      const again = events.map((event) => JSON.stringify(fold.stepsAt(event.seq)));
      const replays = again.every((each, i) => each === prefixes[i]);
      return { steps: fold.stepsAt(fold.seq), status: fold.status, replays };
    });
  },

  /** How many a lane of visits, each with its first and last millisecond, says to be at once. */
  async peak(spans) {
    const { lanesOf } = await import("/page/js/timeline/lanes.js");
    const graph = { scopes: [{ id: 0, step: null }], nodes: [{ id: "a", scope: 0, type: "activity" }] };
    const visits = spans.map(([openedAt, endedAt]) => ({ openedAt, endedAt, status: "Completed", attempts: [] }));
    const fold = { startedAt: 0, endedAt: 100_000, byStep: new Map([["a", visits]]), byForeach: new Map() };
    return lanesOf(graph, fold, 100_000, 100_000).lanes[0].density.peak;
  },

  /** Conditions that reach beyond their frames. */
  labels() {
    return [...document.querySelectorAll(".edge-label")].map((label) => {
      const [frame, text] = ["rect", "text"].map((each) => label.querySelector(each).getBBox());
      return { text: label.querySelector("text").textContent, frame: frame.width, is: text.width };
    }).filter(({ frame, is }) => is > frame - 6);
  },

  /** Place graphs in every way in which they are drawn. */
  async place(graphs) {
    const { layout } = await import("/page/js/graph/layout.js");
    const ways = [["TB", "TB"], ["LR", "TB"], ["LR", "LR"]];
    return graphs.flatMap((graph) => ways.map(([direction, inner]) => {
      const { nodes, edges, width, height } = layout(graph, { direction, inner });
      const boxes = nodes.map(({ id, node, x, y, width, height }) => ({ id, scope: node.scope, x, y, width, height }));
      return { width, height, boxes, edges: edges.map(({ points }) => points.flatMap((p) => [p.x, p.y])) };
    }));
  },

  /** Place one scope of very many steps. */
  async placeMany(number) {
    const { layout } = await import("/page/js/graph/layout.js");
    const nodes = [], edges = [];
    for (let i = 0; i < number; i++) {
      nodes.push({ id: `s${i}`, name: null, type: "activity", scope: 0 });
      for (const back of [1 + (i * 7) % 13, 1 + (i * 31) % 97]) {
        if (i >= back) edges.push({ from: `s${i - back}`, to: `s${i}`, kind: "need", scope: 0 });
      }
    }
    const began = performance.now();
    const scopes = [{ id: 0, parent: null, step: null, notation: "dag" }];
    const placed = layout({ scopes, nodes, edges });
    return { ms: performance.now() - began, nodes: placed.nodes.length };
  },

  async schemaFaults([schema, values]) {
    const { faultsOf } = await import("/page/js/form/schema.js");
    return values.map((value) => faultsOf(schema, value).map((fault) => fault.path));
  },

  async fieldNames(schemas) {
    const { fieldOf } = await import("/page/js/form/schema.js");
    return schemas.map((schema) => fieldOf(schema).children.map((field) => field.path.join(".")));
  },

  async paths(fields) {
    const { pathOf } = await import("/page/js/form/schema.js");
    return fields.map((field) => pathOf(field));
  },

  async addresses(ids) {
    const { format, parse } = await import("/page/js/router.js");
    return ids.map((id) => parse(format(["executions", id], { step: id })));
  },

  async jsonFaults(texts) {
    const { faultOf } = await import("/page/js/widgets/json_fault.js");
    return texts.map((text) => faultOf(text));
  },

  async backoffs(tries) {
    const { backoff } = await import("/page/js/live.js");
    return Array.from({ length: tries }, (_, i) => [backoff(i + 1, 0), backoff(i + 1, 1)]);
  },

  async durations(all) {
    const { duration } = await import("/page/js/format.js");
    return all.map((ms) => duration(ms));
  },

  /** Of what can be pressed and seen, what has no name. */
  nameless() {
    return [...document.querySelectorAll("button, a, input, select, textarea, [role=button]")]
      .filter((each) => each.checkVisibility())
      .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.labels?.length || each.title))
      .map((each) => each.outerHTML);
  },

  widths() {
    return [document.documentElement.scrollWidth, document.querySelector("main").scrollWidth];
  },

  /** Contrasts, each named with what it has to be. */
  contrasts() {
    const style = getComputedStyle(document.documentElement);
    const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const light = (name) => {
      pen.fillStyle = style.getPropertyValue(name);
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((x) => x / 255)
        .map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
      const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
      return (x + 0.05) / (y + 0.05);
    };
    const backs = ["--surface", "--ground", "--sunken"];
    const statuses = ["running", "waiting", "paused", "completed", "failed", "canceled"];
    const pairs = [
      ...["--text", "--text-soft"].flatMap((text) => backs.map((back) => [4.5, text, back])),
      ...["--surface", "--ground"].map((back) => [3, "--text-faint", back]),
      [4.5, "--accent-ink", "--accent-solid"], [4.5, "--accent", "--surface"],
      ...statuses.map((name) => [4.5, `--${name}`, `--${name}-wash`]), [3, "--pending", "--pending-wash"],
    ];
    return pairs.map(([wanted, text, back]) => ({ wanted, pair: `${text} on ${back}`, is: ratio(text, back) }));
  },

  /** From now on `window.longest` is the longest time between two frames. */
  watchFrames() {
    window.longest = 0;
    let last = performance.now();
    (function frame() {
      const now = performance.now();
      window.longest = Math.max(window.longest, now - last);
      last = now;
      requestAnimationFrame(frame);
    })();
  },
})
