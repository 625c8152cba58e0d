// The theme a reader chose, before anything is drawn; keys, copying, and marks of what was searched for.
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

  const copy = async (button) => {
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy || location.href);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1200);
  };

  const links = { ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]', u: "a[data-up]" };
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("input, select, textarea, pre, [open]#viewer")) return;
    if (event.key === "?") document.getElementById("help").showModal();
    else if (event.key === "c") copy(document.querySelector("[data-copy]:not([data-copy=''])"));
    else if (event.key === "l") copy(document.querySelector("[data-copy='']"));
    else if (event.key === "/" && document.querySelector("input[type=search]")) {
      event.preventDefault();
      document.querySelector("input[type=search]").focus();
    } else if (links[event.key]) {
      document.querySelector(links[event.key])?.click();
    }
  });
  addEventListener("click", (event) => {
    copy(event.target.closest("[data-copy]"));
    if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  });
  addEventListener("DOMContentLoaded", () => {
    mark(document.querySelector("main").dataset.find);
    for (const select of document.querySelectorAll(".filters select")) select.addEventListener("change", () => select.form.requestSubmit());
  });
})();
