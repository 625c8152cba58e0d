// Enlarging images, copying, help and theme, for any page that holds rows and <dialog id="viewer">. Text is only ever set as text.
"use strict";
(() => {
  const LARGEST_SCALE = 2;
  const viewer = document.getElementById("viewer");
  const stage = viewer.querySelector(".stage");
  const note = viewer.querySelector(".note");

  document.addEventListener("click", (event) => {
    const zoom = event.target.closest(".zoom");
    if (zoom) {
      const thumbnail = zoom.querySelector("img");
      const picture = thumbnail.cloneNode();
      const [width, height] = ["width", "height"].map((name) => Number(thumbnail.getAttribute(name)));
      picture.loading = "eager";
      if (zoom.dataset.full) picture.src = zoom.dataset.full;
      const scale = Math.min((0.94 * innerWidth) / width, (0.96 * innerHeight - 70) / height, LARGEST_SCALE);
      [picture.width, picture.height] = [width * scale, height * scale];
      const boxes = zoom.querySelector(".boxes");
      stage.replaceChildren(picture, ...(boxes ? [boxes.cloneNode(true)] : []));
      note.textContent = [picture.alt, zoom.dataset.note].filter(Boolean).join(" \u00b7 ");
      viewer.showModal();
    } else if (event.target === viewer || event.target.closest("[data-close]")) {
      viewer.close();
    }
  });

  // data-copy: a text; data-link: an address as seen from this page.
  const copy = async (button) => {
    const text = button.dataset.copy ?? new URL(button.dataset.link, location.href).href;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      prompt("Copy this:", text); // where a browser lets no page write to the clipboard
      return;
    }
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1200);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-link]");
    if (button) copy(button);
    if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  });

  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    tell();
  });
  system.addEventListener("change", tell);
  tell();
})();
