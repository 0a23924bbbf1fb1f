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

// A list that stays open all night does not grow for ever.
document.addEventListener("htmx:sseMessage", () => {
  const list = document.getElementById("alerts");
  while (list && list.children.length > LONGEST) list.lastElementChild.remove();
});

// The alert moved on, and the page shows it: what is sent from here is about its new version.
document.addEventListener("htmx:afterSwap", (event) => {
  const standing = event.target.querySelector(".standing[data-version]");
  if (!standing) return;
  for (const field of document.querySelectorAll("input[name=version]")) field.value = standing.dataset.version;
});
