// Sorts the tables of the leaderboard by a click on a heading, or by Enter on it.
"use strict";

const number = (cell) => parseFloat(cell.textContent);

function sort(heading, button) {
  const row = heading.parentElement;
  const body = heading.closest("table").tBodies[0];
  const place = [...row.cells].indexOf(heading);
  const lowFirst = button.textContent.includes("↓") || place === 0;
  const first = lowFirst ? "ascending" : "descending";
  const other = lowFirst ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const [one, two] = [a.cells[place], b.cells[place]];
    if (place === 0) return sign * one.textContent.localeCompare(two.textContent);
    const [x, y] = [number(one), number(two)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y); // empty cells last
    return sign * (x - y);
  };
  body.append(...[...body.rows].sort(compare));
  for (const cell of row.cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const heading of document.querySelectorAll("#leaderboard th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...(heading.querySelector("p") ?? heading).childNodes);
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(heading, button));
  }
});
