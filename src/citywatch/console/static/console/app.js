// The little that htmx does not do by itself. Everything works without it, but for the live parts.
"use strict";

const LONGEST = 200;

function sayLive(on) {
  const box = document.getElementById("live");
  box.hidden = false;
  box.classList.toggle("on", on);
  box.querySelector(".word").textContent = on ? "live" : "reconnecting";
}

document.addEventListener("htmx:sseOpen", () => sayLive(true));
document.addEventListener("htmx:sseError", () => sayLive(false));

// News of alerts: each line replaces the one with its id, so that hearing something twice does no harm.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const list = document.getElementById("alerts");
  if (!list || event.detail.type !== "alerts") return;
  event.preventDefault();
  const news = new DOMParser().parseFromString(event.detail.data, "text/html");
  for (const line of news.querySelectorAll("li[data-op]")) {
    const before = document.getElementById(line.id);
    const op = line.dataset.op;
    delete line.dataset.op;
    if (op === "top") { if (before) before.remove(); list.prepend(line); }
    else if (op === "gone") { if (before) before.remove(); }
    else if (before) before.replaceWith(line);
  }
  for (const part of news.querySelectorAll("span[id], p[id]")) document.getElementById(part.id)?.replaceWith(part);
  // A list that stays open all night does not grow for ever.
  while (list.children.length > LONGEST) list.lastElementChild.remove();
});

// The alert moved on, and the page shows it: what is sent from here is about its new version.
document.addEventListener("htmx:afterSwap", (event) => {
  const standing = event.target.querySelector(".standing[data-version]");
  if (!standing) return;
  for (const field of document.querySelectorAll("input[name=version]")) field.value = standing.dataset.version;
});
