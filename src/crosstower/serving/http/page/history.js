// The history of a user: training rows, live events, events that wait, and attributes.

import * as api from "./api.js";
import { titleOf } from "./titles.js";
import { byId, count, el, percent, time, valueText } from "./parts.js";
import { pictureOf } from "./pictures.js";

export const SHOWN = 50; // items of a list
const PICTURES = 7;

/**
 * Make the card; `openItem` is called with an item that is pressed.
 * Returns { load(user, signal), items(), describe(attributes, column) }: `items` are the ids of the
 * user's history, oldest first; `describe` shows titles, pictures and types of items by their id.
 */
export function openHistory(openItem) {
  const state = { user: null, found: null, words: "", loads: 0, attributes: new Map(), column: null };
  byId("history").hidden = false;
  const show = (user, found, words) => {
    Object.assign(state, { user, found, words });
    byId("history-summary").textContent = words;
    showTaste(state);
    const content = found
      ? contentOf(found, openItem, state.attributes)
      : [el("p", { class: "help" }, EXPLAINED[words])];
    const again = el("button", { type: "button", class: "quiet", click: () => load(user) }, "Refresh");
    byId("history-content").replaceChildren(...content, ...(user === null ? [] : [again]));
  };
  const load = async (user, signal) => {
    const number = ++state.loads; // a response that comes after the next load is dropped
    try {
      const found = user === null ? null : await api.user(user, signal);
      if (number !== state.loads) return;
      show(user, found, found === null ? NOBODY : summaryOf(found));
      byId("history-problem").textContent = "";
    } catch (error) {
      if (!(error instanceof api.Failure)) throw error;
      if (number !== state.loads) return;
      show(user, null, error.status === 404 ? UNKNOWN : MISSING);
      byId("history-problem").textContent = error.status === 404 ? "" : error.message;
    }
  };
  const items = () => (state.found?.history ?? []).map((event) => event.item_id);
  const describe = (attributes, column) => {
    if (state.attributes === attributes && state.column === column) return;
    Object.assign(state, { attributes, column });
    if (state.found) show(state.user, state.found, state.words);
  };
  return { load, items, describe };
}

/** Show beside the heading which types of items are most frequent in the history, with pictures. */
function showTaste({ found, attributes, column }) {
  const newest = (found?.history ?? []).slice(-SHOWN).toReversed().map((e) => attributes.get(e.item_id));
  const types = newest.map((one) => one?.[column]).filter((type) => type != null);
  const counts = new Map();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const words = most.map(([type, n]) => `${valueText(type)} ${percent(n / types.length)}`);
  byId("history-taste").textContent = words.join(", ");
  const pictures = newest.map((one) => pictureOf(one, "small")).filter(Boolean);
  byId("history-pictures").replaceChildren(...pictures.slice(0, PICTURES));
}

const [NOBODY, UNKNOWN, MISSING] = ["no user", "unknown user", "not available"];
const EXPLAINED = {
  [NOBODY]: "The request has no user, so there is no history.",
  [UNKNOWN]: "The server has no training row, attribute or event of this user.",
  [MISSING]: "The history could not be read.",
};

function summaryOf({ history, future, unknown_items: unknown }) {
  const live = history.filter((event) => event.type !== null).length;
  const waiting = future.length + unknown.length;
  const words = [`${count(history.length - live)} from training`, `${count(live)} live`];
  return [...words, ...(waiting ? [`${count(waiting)} waiting`] : [])].join(", ");
}

function contentOf(found, openItem, attributes) {
  const live = found.history.filter((event) => event.type !== null);
  const trained = found.history.filter((event) => event.type === null);
  const item = ({ item_id: id }) => {
    const own = attributes.get(id);
    const words = titleOf(own) ?? `${id}`;
    const click = () => openItem({ item_id: id });
    return el("button", { type: "button", class: "chip", title: `${id}`, click }, pictureOf(own, "small"), words);
  };
  const event = (words) => (one) =>
    el("li", {}, item(one), el("span", { class: "soft" }, ` ${one.type} · ${words(one)}`));
  const at = (one) => time(one.time);
  return [
    part("Live events, newest first", "None since the training rows.", live, event(at)),
    part("From training, newest first", "None.", trained, (one) => el("li", {}, item(one)), "chips"),
    found.future.length > 0 &&
      part("Events that wait for their time", "", found.future, event((one) => `acts at ${at(one)}`)),
    found.unknown_items.length > 0 &&
      part("Events that wait for their item", "", found.unknown_items, event(at)),
    attributesOf(found),
  ].filter(Boolean);
}

function part(title, nothing, events, row, kind = "") {
  const shown = events.toReversed().slice(0, SHOWN).map(row);
  const more = events.length - shown.length;
  return el(
    "section",
    {},
    el("h3", {}, title),
    events.length > 0
      ? el("ul", { class: `events ${kind}`, tabindex: 0, "aria-label": title }, ...shown)
      : el("p", { class: "help" }, nothing),
    more > 0 && el("p", { class: "help" }, `and ${count(more)} more`),
  );
}

function attributesOf({ attributes, ignored_attributes: ignored }) {
  const rows = Object.entries(attributes).map(([name, value]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, valueText(value), ignored.includes(name) && " (this bundle does not read it)"),
    ),
  );
  if (rows.length === 0) return null;
  const table = el("table", { class: "facts" }, el("tbody", {}, ...rows));
  return el("section", {}, el("h3", {}, "Attributes"), table);
}
