// Runs before anything is drawn, so that a dark page never flashes white: no module, no import.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("heliostat.theme");
  } catch (_) {
    // Storage is forbidden: the system's choice holds.
  }
  var dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen || (dark ? "dark" : "light");
})();
