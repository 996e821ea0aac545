/** What this browser remembers: theme, namespace, the person's name. Works without storage too. */

const PREFIX = "heliostat.";

function load(name, otherwise) {
  try {
    return localStorage.getItem(PREFIX + name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(name, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // Storage is full or forbidden: the choice holds until the page is closed.
  }
}

export const settings = {
  namespace: load("namespace", "default"),
  user: load("user", ""),

  setNamespace(name) {
    this.namespace = name || "default";
    keep("namespace", name === "default" ? null : name);
  },

  setUser(name) {
    this.user = name;
    keep("user", name);
  },

  get theme() {
    return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
  },

  /** Choose a theme; choosing what the system says anyway follows the system from then on. */
  setTheme(theme) {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
    keep("theme", theme === system ? null : theme);
    document.dispatchEvent(new CustomEvent("heliostat:theme"));
  },
};

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
  if (load("theme", null) !== null) return;
  document.documentElement.dataset.theme = event.matches ? "dark" : "light";
  document.dispatchEvent(new CustomEvent("heliostat:theme"));
});
