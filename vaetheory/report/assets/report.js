"use strict";
// Sorting, filtering and the theme; the page is complete without them.
(() => {
  const root = document.documentElement;
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const form = document.getElementById("filters");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const pickers = [...form.querySelectorAll("[data-filter]")];
  const rows = [...body.rows];
  const articles = new Map(
    [...document.querySelectorAll("article[data-label]")].map((a) => [a.id, a])
  );
  const article = (row) => articles.get(row.cells[0].querySelector("a").hash.slice(1));
  // The text that a search covers: the row, its ASCII title, and the proposition's article.
  const words = new Map(
    rows.map((row) => [
      row,
      `${row.textContent} ${row.cells[1].dataset.key} ${article(row)?.textContent ?? ""}`.toLowerCase(),
    ])
  );

  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const matches =
        pickers.every((p) => !p.value || row.dataset[p.dataset.filter] === p.value) &&
        wanted.every((word) => words.get(row).includes(word));
      row.hidden = !matches;
      const details = article(row);
      if (details) details.hidden = !matches;
      count += matches;
    }
    shown.textContent = `${count} of ${rows.length} shown`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  // The browser resets the values after this event, but rows and values must change together.
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const field of [search, ...pickers]) field.value = "";
    filter();
  });

  const value = (row, column, numeric) => {
    const key = row.cells[column].dataset.key;
    if (!numeric) return key;
    const number = Number(key.replace("inf", "Infinity"));
    return Number.isNaN(number) ? Infinity : number;
  };
  const sort = (heading, column) => {
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const numeric = heading.dataset.sort !== "text";
    const sign = rising ? 1 : -1;
    const compare = (a, b) => {
      const [x, y] = [value(a, column, numeric), value(b, column, numeric)];
      return sign * (x < y ? -1 : x > y ? 1 : 0);
    };
    rows.sort(compare);
    body.append(...rows);
  };
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const name = heading.querySelector("span");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name.textContent;
    button.addEventListener("click", () => sort(heading, column));
    name.replaceWith(button);
  });
  table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");

  // A link to a proposition that a filter hides shows everything again.
  const reveal = () => {
    if (articles.get(location.hash.slice(1))?.hidden) {
      form.reset();
      document.getElementById(location.hash.slice(1)).scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);

  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => {
    theme.textContent = isDark() ? "Light theme" : "Dark theme";
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
    try {
      localStorage.setItem("vaetheory-theme", root.dataset.theme);
    } catch {
      // A page opened from a file may have no storage; then the choice lasts until it is closed.
    }
  });
  try {
    const kept = localStorage.getItem("vaetheory-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch {
    // As above.
  }
  dark.addEventListener("change", name);
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });

  name();
  filter();
  form.hidden = false;
  theme.hidden = false;
})();
