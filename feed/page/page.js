// The page works without this. Here the search shows its result while one types, and what
// one would type elsewhere can be copied.
"use strict";

const field = document.getElementById("q");
if (field) {
  const found = document.getElementById("found");
  const none = document.getElementById("none");
  const tiles = [...document.querySelectorAll(".tile")].map((tile) => {
    const folder = tile.closest(".folder");
    const texts = [tile.querySelector(".name"), folder.querySelector("h2"), tile.querySelector(".kind")];
    return { item: tile.closest("li"), folder, text: texts.map((t) => (t ? t.textContent : "")).join(" ").toLowerCase() };
  });
  const search = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const folders = new Set();
    let shown = 0;
    for (const t of tiles) {
      const hit = words.every((w) => t.text.includes(w));
      t.item.hidden = !hit;
      if (hit) {
        shown++;
        folders.add(t.folder);
      }
    }
    for (const t of tiles) t.folder.hidden = !folders.has(t.folder);
    none.hidden = shown > 0;
    found.textContent = words.length ? `${shown} of ${tiles.length} shown.` : "";
  };
  field.form.classList.add("instant");
  field.addEventListener("input", search);
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
}

for (const place of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "second";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(place.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
  });
  place.append(button);
}
