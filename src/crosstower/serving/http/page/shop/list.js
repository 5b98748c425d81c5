// The list of the shop: cards with a picture, a title, and how far each has moved since a click.

import { colourOf } from "../kinds.js";
import { moveText } from "../funnel.js";
import { byId, calm, el } from "../parts.js";
import { pictureOf } from "../pictures.js";
import { attributeText, titleOf } from "../titles.js";

const SHOWN = 6; // attributes of a card

/**
 * Draw the first items; `view`: { items, ranks: by id before the last click or null, seen: ids,
 * hidden: names of attributes that are not shown, column, awayOf(item): km or null, look, why,
 * near: or null, placed(item): whether it is on the map, others: [[words, act]] }.
 */
export function drawOffers(view) {
  const list = byId("shop-list");
  const before = new Map([...list.children].map((row) => [row.dataset.id, row.getBoundingClientRect()]));
  const focus = focusIn(list);
  const rows = view.items.map((item) => offer(item, view));
  list.replaceChildren(...rows);
  if (focus) {
    const row = rows.find(({ dataset }) => dataset.id === focus.id) ?? rows[focus.place] ?? rows.at(-1);
    row?.querySelector(focus.control)?.focus({ preventScroll: true });
  }
  if (!calm.matches && before.size > 0) for (const row of rows) glide(row, before.get(row.dataset.id));
}

function glide(row, from) {
  if (!from) return row.animate({ opacity: [0.2, 1] }, 250);
  const to = row.getBoundingClientRect();
  const [x, y] = [from.left - to.left, from.top - to.top];
  if (x === 0 && y === 0) return null;
  return row.animate({ transform: [`translate(${x}px, ${y}px)`, "none"] }, { duration: 300, easing: "ease-out" });
}

function focusIn(list) {
  const row = list.contains(document.activeElement) && document.activeElement.closest("li");
  if (!row) return null;
  const control = document.activeElement.dataset.act;
  return { control: `[data-act="${CSS.escape(control)}"]`, id: row.dataset.id, place: [...list.children].indexOf(row) };
}

function offer(item, view) {
  const { item_id: id, rank, attributes = {} } = item;
  const title = titleOf(attributes) ?? `Item ${id}`;
  const kind = attributes[view.column];
  const moved = view.ranks && moveText(view.ranks.get(id) ?? null, rank, "the list before your click");
  const act = (name, words, click) => el("button", { type: "button", class: "quiet", "data-act": name, "aria-label": `${words}: ${title}`, click }, words);
  return el(
    "li",
    { "data-id": `${id}`, class: view.seen.has(id) ? "clicked" : "" },
    el(
      "button",
      { type: "button", class: "look", "data-act": "look", click: (event) => event.detail < 2 && view.look(item) }, // a double click is one
      pictureOf(attributes, "large") ?? tile(titleOf(attributes)?.slice(0, 1) ?? `${id}`.slice(0, 6), view.column, kind),
      el("span", { class: "place" }, el("span", { class: "number" }, `${rank}`), moved, view.seen.has(id) && el("span", { class: "badge live" }, "clicked")),
      el("span", { class: "title" }, title),
      el("span", { class: "attributes" }, lineOf(item, view, title)),
    ),
    el(
      "div",
      { class: "acts" },
      act("why", "Why?", () => view.why(item)),
      view.near && view.placed(item) && act("near", "Near here", () => view.near(item)),
      ...view.others.map(([words, run]) => act(words, words, () => run(item))),
    ),
  );
}

/** A square of the colour of its type with a few letters, for an item without a picture. */
function tile(letters, column, kind) {
  const colour = column && kind != null ? `colour-${colourOf(column, kind)}` : "";
  return el("span", { class: `tile ${colour}`, "aria-hidden": "true" }, letters);
}

function lineOf(item, view, title) {
  const shown = Object.entries(item.attributes ?? {}).filter(
    ([name, value]) => !view.hidden.includes(name) && value !== item.item_id && value !== title,
  );
  const words = shown.map((one) => attributeText(...one)).filter(Boolean).slice(0, SHOWN);
  const away = view.awayOf(item);
  return [...words, away !== null && `${away < 10 ? away.toFixed(1) : Math.round(away)} km away`].filter(Boolean).join(" · ");
}
