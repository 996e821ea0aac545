/** d3 as a module: its file is a script that sets a global, so that a newer one can be dropped in. */

import "../vendor/d3/d3.min.js";

export const d3 = /** @type {any} */ (globalThis).d3;
