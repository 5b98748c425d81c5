// The history of a user: training rows, live events, events that wait, and attributes.

import * as api from "./api.js";
import { byId, count, el, time, valueText } from "./parts.js";

const MOST = 50; // items of a list

/**
 * Make the card; `openItem` is called with an item that is pressed.
 * Returns { load(user, signal), items() }: the ids of the user's history, oldest first.
 */
export function openHistory(openItem) {
  const state = { user: null, found: null, loads: 0 };
  byId("history").hidden = false;
  const show = (user, found, words) => {
    Object.assign(state, { user, found });
    byId("history-summary").textContent = words;
    const content = found ? contentOf(found, openItem) : [el("p", { class: "help" }, EXPLAINED[words])];
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
  return { load, items };
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

function contentOf(found, openItem) {
  const live = found.history.filter((event) => event.type !== null);
  const trained = found.history.filter((event) => event.type === null);
  const item = ({ item_id: id }) =>
    el("button", { type: "button", class: "chip", click: () => openItem({ item_id: id }) }, `${id}`);
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
  const shown = events.toReversed().slice(0, MOST).map(row);
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
