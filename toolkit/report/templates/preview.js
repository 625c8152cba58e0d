// Filters and paging of a preview. Rows are only hidden and shown; what they hold is never read as anything but text.
"use strict";
(() => {
  const rows = [...document.querySelectorAll(".row")];
  const texts = new Map();
  const form = document.getElementById("filters");
  const fields = form.elements;
  const visible = () => rows.filter((row) => !row.hidden);
  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };

  const filter = () => {
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const fits = ["task", "quadrant", "origin"].every((name) => !fields[name].value || row.dataset[name] === fields[name].value);
      row.hidden = !(fits && words.every((word) => textOf(row).includes(word)));
    }
    for (const task of document.querySelectorAll(".task")) task.hidden = !task.querySelector(".row:not([hidden])");
    const count = visible().length;
    document.getElementById("shown").textContent = count.toLocaleString("en");
    document.querySelector(".nothing").hidden = count > 0;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  // The row that has the focus, or else the one at the top of the window, is where paging goes on.
  const page = (step) => {
    const open = visible();
    const focused = open.indexOf(document.activeElement.closest(".row"));
    const below = open.findIndex((row) => row.getBoundingClientRect().top > 90);
    const here = focused >= 0 ? focused + step : step > 0 ? below : (below < 0 ? open.length : below) - 1;
    const target = open[Math.max(0, Math.min(here, open.length - 1))];
    if (!target) return;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "start" });
  };
  const fold = document.getElementById("fold");
  fold.addEventListener("click", () => {
    const isFolded = fold.getAttribute("aria-pressed") !== "true";
    fold.setAttribute("aria-pressed", String(isFolded));
    for (const rationale of document.querySelectorAll(".rationale:not(.column)")) rationale.open = !isFolded;
  });
  document.getElementById("next").addEventListener("click", () => page(1));
  document.getElementById("previous").addEventListener("click", () => page(-1));

  const copy = (what) => {
    const open = visible();
    const row = document.activeElement.closest(".row") ?? open.find((each) => each.getBoundingClientRect().bottom > 90);
    row?.querySelector(what)?.click();
  };

  const keys = {
    c: () => copy("[data-copy]"),
    l: () => copy("[data-link]"),
    "?": () => document.querySelector("[data-help]").click(),
    n: () => page(1),
    p: () => page(-1),
    r: () => fold.click(),
    t: () => document.getElementById("theme").click(),
    "/": () => fields.text.focus(),
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]");
    if (isTyping || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  if (matchMedia("(max-width: 640px)").matches) document.querySelector(".overview").open = false; // rows first on a phone
  filter(); // a browser may keep what was typed before a reload
})();
