// The theme a reader chose, before anything is drawn; keys, and marks of what was searched for.
"use strict";
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  addEventListener("pagehide", () => {
    const theme = document.documentElement.dataset.theme;
    if (theme) localStorage.setItem("theme", theme);
  });

  // What was searched for, marked without a change of the page.
  const mark = (text) => {
    if (!text || !window.Highlight) return;
    const ranges = [];
    for (const each of document.querySelectorAll("article.row .text")) {
      const walker = document.createTreeWalker(each, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const node = walker.currentNode, lower = node.data.toLowerCase(), wanted = text.toLowerCase();
        for (let at = lower.indexOf(wanted); at >= 0 && lower.length === node.data.length; at = lower.indexOf(wanted, at + wanted.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + wanted.length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };

  const keys = { ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]', u: "a[data-up]", c: "[data-copy]", l: "[data-link]", "?": "[data-help]" };
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("input, select, textarea, pre, dialog[open]")) return;
    if (event.key === "/" && document.querySelector("input[type=search]")) {
      event.preventDefault();
      document.querySelector("input[type=search]").focus();
    } else if (keys[event.key]) {
      document.querySelector(keys[event.key])?.click();
    }
  });
  addEventListener("DOMContentLoaded", () => {
    mark(document.querySelector("main").dataset.find);
    for (const select of document.querySelectorAll(".filters select")) select.addEventListener("change", () => select.form.requestSubmit());
  });
})();
