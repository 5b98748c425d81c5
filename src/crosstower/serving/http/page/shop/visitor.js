// The visitor of the shop: a new one whose id is made here, or a user of the training rows.

import * as api from "../api.js";
import { byId, count, el } from "../parts.js";
import { pictureOf } from "../pictures.js";
import { titleOf } from "../titles.js";

const KEY = "crosstower-visitor";
const SEEN = 12;

/** Random hexadecimal text, also where a page without https has no randomUUID. */
export const randomText = () =>
  [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Make the card; `changed` is called when another visitor has been chosen.
 * Returns { id(), isNew(), saw(item), describe(attributes), startAgain() }; `id()` is null where the
 * bundle has no users, and `saw` adds an item to those that were clicked.
 */
export function openVisitor(model, changed) {
  const state = { id: null, isNew: true, known: null, seen: [] };
  if (!model.user_column) {
    byId("shop-visitor-content").replaceChildren(el("p", { class: "help" }, "The bundle has no users: everybody gets the same list."));
    return { id: () => null, isNew: () => true, saw: () => {}, startAgain: () => {} };
  }
  const words = el("p", { class: "help" });
  const seen = el("ul", { class: "seen", "aria-label": "Clicked in this tab, newest first" });
  const choice = el("select", { id: "shop-user", "aria-label": "Visitor" });
  const again = el("button", { type: "button", class: "quiet", id: "shop-again", click: () => startAgain() }, "Start again as a new visitor");
  byId("shop-visitor-content").replaceChildren(
    el("div", { class: "field" }, choice),
    words,
    seen,
    again,
  );
  const show = () => {
    words.textContent = wordsOf(state);
    seen.replaceChildren(
      ...state.seen.toReversed().slice(0, SEEN).map(({ id, attributes }) =>
        el("li", { title: titleOf(attributes) ?? `${id}` }, pictureOf(attributes, "small"), el("span", { class: pictureOf(attributes) ? "spoken" : "" }, titleOf(attributes) ?? `${id}`)),
      ),
    );
  };
  /** `known`: null for an id made just now, which the server cannot know. */
  const become = (id, isNew, known = 0) => {
    Object.assign(state, { id, isNew, known, seen: [] });
    if (known !== null) look(state, show);
    const options = model.sample_users.map((user) => el("option", { value: `${user}` }, `${user}`));
    choice.replaceChildren(el("option", { value: "" }, "New visitor"), ...options);
    choice.value = isNew ? "" : `${id}`;
    show();
  };
  const startAgain = () => {
    become(newId(model), true, null);
    remember(state.id);
    changed();
  };
  choice.addEventListener("change", () => {
    if (choice.value === "") return startAgain();
    become(model.sample_users.find((user) => `${user}` === choice.value), false);
    changed();
  });
  const earlier = remembered(model);
  become(earlier ?? newId(model), true, earlier === null ? null : 0);
  remember(state.id);
  const saw = (id, attributes) => {
    state.seen.push({ id, attributes });
    show();
  };
  return { id: () => state.id, isNew: () => state.isNew, saw, startAgain };
}

function wordsOf({ id, isNew, known, seen }) {
  if (seen.length) return `Clicked: ${seen.length}. Each click is an event of ${id}.`;
  if (known > 0) return `The history of ${id} has ${count(known)} ${known === 1 ? "item" : "items"}.`;
  if (isNew && known === null) return "Nothing is known of a new visitor. Click what you like.";
  return isNew ? "Earlier clicks of this tab still count." : "A user of the training rows.";
}

/** Ask how long the history of the visitor is; without an answer, nothing is said of it. */
async function look(state, show) {
  const { id } = state;
  try {
    const found = await api.user(`${id}`);
    if (state.id === id) state.known = found.history.length;
    show();
  } catch (error) {
    if (!(error instanceof api.Failure)) throw error;
  }
}

const numbered = ({ sample_users: users }) => users.length > 0 && users.every((user) => typeof user !== "string");

/** An id of the type that the bundle's users have. */
function newId(model) {
  if (!numbered(model)) return `visitor-${randomText().slice(0, 8)}`;
  return 1_900_000_000 + (crypto.getRandomValues(new Uint32Array(1))[0] % 100_000_000);
}

function remember(id) {
  sessionStorage.setItem(KEY, JSON.stringify(id));
}

function remembered(model) {
  const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  return (typeof found === "number") === numbered(model) ? found : null;
}
