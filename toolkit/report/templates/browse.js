// The theme a reader chose, before anything is drawn; arrows for pages and rows, u for the list, / for the search.
"use strict";
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  addEventListener("pagehide", () => {
    const theme = document.documentElement.dataset.theme;
    if (theme) localStorage.setItem("theme", theme);
  });

  const links = { ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]', u: "a[data-up]" };
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("input, select, textarea, pre, [open]#viewer")) return;
    if (event.key === "/" && document.querySelector("input[type=search]")) {
      event.preventDefault();
      document.querySelector("input[type=search]").focus();
    } else if (links[event.key]) {
      document.querySelector(links[event.key])?.click();
    }
  });
  addEventListener("DOMContentLoaded", () => {
    for (const select of document.querySelectorAll(".filters select")) select.addEventListener("change", () => select.form.requestSubmit());
  });
})();
