// The drawer at the side: one item with its scores and similar items, or what a search found.

import * as api from "./api.js";
import { itemText } from "./funnel.js";
import { byId, count, el, score, valueText } from "./parts.js";
import { pictureOf } from "./pictures.js";
import { titleOf } from "./titles.js";

/**
 * Make the drawer. `context()`: { model, column, candidateOf(id), attributesOf(candidate),
 * countsOf(id), reasonsOf(item): sentences that say why it is in the list }.
 * Returns { openItem(candidate), openSearch(words, items) }.
 */
export function openDrawer(context) {
  const dialog = byId("drawer");
  const trail = [];
  const show = () => {
    const [title, body] = trail.at(-1)();
    byId("drawer-title").textContent = title;
    byId("drawer-body").replaceChildren(...body.filter(Boolean));
    byId("drawer-back").hidden = trail.length < 2;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    byId("drawer-title").focus();
  };
  const push = (view) => {
    if (!dialog.open) trail.length = 0;
    trail.push(view);
    show();
  };
  const openItem = (item) => push(() => itemView(item, context(), openItem));
  byId("drawer-back").addEventListener("click", () => {
    trail.pop();
    show();
  });
  byId("drawer-close").addEventListener("click", () => dialog.close());
  addEventListener("hashchange", () => dialog.close()); // the browser's way back shows another view
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  return {
    openItem,
    openSearch: (words, items) => push(() => searchView(words, items, context(), openItem)),
  };
}

function searchView(words, items, { column }, openItem) {
  const list = items.length
    ? itemList(items, column, openItem)
    : el("p", { class: "empty" }, "No item was found.");
  return [words, [list]];
}

function itemView(item, context, openItem) {
  const { model, column, candidateOf, attributesOf, countsOf } = context;
  const reasons = context.reasonsOf(item).map((words) => el("li", {}, words));
  const counts = Object.entries(countsOf(item.item_id) ?? {});
  const sources = Object.entries(candidateOf(item.item_id)?.sources ?? {});
  const candidate = candidateOf(item.item_id);
  const attributes = item.attributes ?? attributesOf(item);
  const similar =
    model.stages.includes("retrieve") && similarSection(item.item_id, column, openItem);
  return [
    `Item ${item.item_id}`,
    [
      titleOf(attributes) && el("p", { class: "title" }, titleOf(attributes)),
      pictureOf(attributes, "large"),
      reasons.length > 0 && section("Why it is here", el("ul", { class: "reasons-why" }, ...reasons)),
      candidate
        ? section("Scores", scoresTable(candidate, model))
        : el("p", { class: "help" }, "Not among the candidates of this request."),
      sources.length > 0 && section("Sources that found it", sourcesTable(sources)),
      counts.length > 0 && section("Counts of events, as the ranker read them", countsTable(counts)),
      section("Attributes", attributesTable(attributes)),
      similar,
    ],
  ];
}

const section = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);

function scoresTable(candidate, model) {
  const rows = [["Retrieved", candidate.retrieval_rank, candidate.retrieval_score]];
  for (const { name } of model.tasks)
    rows.push([`Prediction of ${name}`, null, candidate.predictions?.[name]]);
  if (model.tasks.length)
    rows.push([`Ranked by ${model.tasks[0].name}`, candidate.ranked_rank, null]);
  rows.push([
    "Blended",
    candidate.blended_rank,
    candidate.blended_rank == null ? null : candidate.score,
  ]);
  rows.push(["Final order", candidate.rank, null]);
  const kept = rows.filter(([, rank, value]) => rank != null || value != null);
  return ranksTable("Stage", kept);
}

/** Rank and score of a candidate in each source; `sources`: [[name, { rank, score }]]. */
const sourcesTable = (sources) =>
  ranksTable("Source", sources.map(([name, found]) => [name, found.rank, found.score]));

/** A table of [name, rank, score]; a rank or a score may be missing. */
function ranksTable(title, rows) {
  const cells = (values, tag) =>
    values.map((text) => el(tag, tag === "th" ? { scope: "col" } : {}, text));
  const head = el("tr", {}, ...cells([title, "Rank", "Score"], "th"));
  const body = rows.map(([name, rank, value]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      ...cells([rank == null ? "" : `${rank}`, value == null ? "" : score(value)], "td"),
    ),
  );
  return el("table", {}, el("thead", {}, head), el("tbody", {}, ...body));
}

function attributesTable(attributes) {
  if (!attributes) return el("p", { class: "help" }, "The server has not sent them.");
  const rows = Object.entries(attributes).map(([name, value]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, valueText(value).slice(0, 2000) || "–"),
    ),
  );
  return el("table", { class: "facts" }, el("tbody", {}, ...rows));
}

/** Counters of the item; a ratio has two counts. */
function countsTable(counts) {
  const rows = counts.map(([name, numbers]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, numbers.map(count).join(" of "))),
  );
  return el("table", { class: "facts" }, el("tbody", {}, ...rows));
}

function similarSection(id, column, openItem) {
  const box = el("div", { role: "status" }, el("p", { class: "help" }, "Searching …"));
  const problem = el("p", { class: "problem", role: "alert" });
  api
    .similar({ item: id, k: 8, where: null })
    .then(({ items }) =>
      box.replaceChildren(
        items.length
          ? itemList(items, column, openItem)
          : el("p", { class: "help" }, "No similar items."),
      ),
    )
    .catch((error) => {
      box.replaceChildren();
      problem.textContent = error.message;
    });
  return section("Similar items", box, problem);
}

function itemList(items, column, openItem) {
  const rows = items.map((item) =>
    el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "item", click: () => openItem(item) },
        el("span", { class: "rank" }, `${item.rank}`),
        itemText(item.item_id, item.attributes, column, item.attributes?.[column]),
        el("span", { class: "score" }, score(item.score)),
      ),
    ),
  );
  return el("ol", { class: "list" }, ...rows);
}
