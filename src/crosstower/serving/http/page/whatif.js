// What if the user clicked an item: the list of a longer history next to the present one.

import { drawColumn, emptyColumn, moveText } from "./funnel.js";
import { byId, count, el } from "./parts.js";

/**
 * Make the section; `changed` is called when the clicks have changed.
 * Returns { start(item), of(user), history(items), draw(view) }; `start` also leads to the section.
 */
export function openWhatIf(changed) {
  const state = { user: null, clicks: [], leads: false };
  const change = (clicks, focus) => {
    state.clicks = clicks;
    changed();
    focus?.focus();
  };
  const add = ({ item_id: id }) => change([...state.clicks, id]);
  const start = (item) => {
    state.leads = true;
    add(item);
  };
  const remove = (place) => {
    change(state.clicks.toSpliced(place, 1), byId(state.clicks.length > 1 ? "what-if" : "funnel"));
  };
  const reset = () => change([], byId("funnel"));
  /** The clicks are those of one user; another user starts without any. */
  const of = (user) => {
    if (state.user !== user) Object.assign(state, { user, clicks: [] });
  };
  /** The history of a request: the user's own and the clicks; null without clicks. */
  const history = (items) => (state.clicks.length > 0 ? [...items, ...state.clicks] : null);
  const draw = (view) => {
    const box = byId("what-if");
    box.hidden = view === null;
    if (view === null) {
      state.leads = false;
      return;
    }
    if (!box.firstChild) box.replaceChildren(...skeleton(reset));
    drawClicks(state.clicks, remove);
    drawLists(view, add);
    byId("what-if-source").textContent = sourceWords(view.items, state.clicks.length, view.user);
    if (state.leads) box.focus();
    state.leads = false;
  };
  return { start, of, history, draw };
}

/** How the first items differ between two lists, in words. */
export function differenceWords({ before, after, k }) {
  const { fresh, moved, gone, first } = differenceOf(before, after, k);
  if (fresh + moved + gone === 0) return "The clicks do not change the list.";
  return `Of the first ${first}: ${fresh} new, ${moved} moved, ${gone} gone.`;
}

function differenceOf(before, after, k) {
  const ranks = ranksOf(before, k);
  const first = after.candidates.filter((c) => c.rank <= k);
  const fresh = first.filter((c) => !ranks.has(c.item_id)).length;
  const same = first.filter((c) => ranks.get(c.item_id) === c.rank).length;
  const gone = ranks.size - (first.length - fresh);
  return { fresh, moved: first.length - fresh - same, gone, first: first.length };
}

/** Ranks of the first items by id. */
function ranksOf(list, k) {
  return new Map(list.candidates.filter((c) => c.rank <= k).map((c) => [c.item_id, c.rank]));
}

function skeleton(reset) {
  return [
    el(
      "div",
      { class: "heading" },
      el("h2", { id: "what-if-title" }, "What if the user clicks …"),
      el("p", {}, "A preview: nothing is stored, the clicks are sent with this page's requests only."),
      el("button", { type: "button", class: "quiet", id: "what-if-reset", click: reset }, "Reset"),
    ),
    el("ol", { class: "chips", id: "what-if-clicks", "aria-label": "Clicks, oldest first" }),
    el("p", { class: "help", id: "what-if-source" }),
    el("p", { id: "what-if-words" }),
    el(
      "div",
      { class: "columns beside" },
      ...[
        { key: "now", title: "Now" },
        { key: "clicked", title: "With these clicks" },
      ].map(emptyColumn),
    ),
  ];
}

function drawClicks(clicks, remove) {
  const chips = clicks.map((id, place) =>
    el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: "chip",
          "aria-label": `Remove click ${place + 1}, item ${id}`,
          click: () => remove(place),
        },
        `${place + 1}. ${id} ✕`,
      ),
    ),
  );
  byId("what-if-clicks").replaceChildren(...chips);
}

function drawLists(view, add) {
  const { before, after, k } = view;
  const [now, clicked] = [ranksOf(before, k), ranksOf(after, k)];
  const common = { by: "score", rankOf: (c) => c.rank, scoreOf: (c) => c.score };
  const stages = [
    {
      ...common,
      total: before.candidates.length,
      candidates: before.candidates,
      move: { key: "then", of: (c) => thenText(clicked.get(c.item_id)) },
    },
    {
      ...common,
      total: after.candidates.length,
      candidates: after.candidates,
      move: { key: "moved", of: (c) => moveText(now.get(c.item_id), c.rank, "the present list") },
    },
  ];
  const columns = byId("what-if").querySelectorAll(".column");
  stages.forEach((stage, i) =>
    drawColumn(columns[i], stage, { ...view, add: i === 1 ? add : null, ownRanks: null }),
  );
  byId("what-if-words").textContent = differenceWords(view);
}

function thenText(rank) {
  if (rank != null) return el("span", { class: "move" }, `${rank}`);
  return el("span", { class: "move down" }, "gone");
}

function sourceWords(items, clicks, user) {
  const own =
    user === null
      ? "no user"
      : items > 0
        ? `the ${count(items)} items of the user's history`
        : "a user without a history";
  const cut = items >= 1000 ? " Only the newest 1,000 items of a history can be sent." : "";
  return `Computed from ${own} and ${clicks === 1 ? "this click" : `these ${clicks} clicks`}, without exploration.${cut}`;
}
