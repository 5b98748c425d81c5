// The funnel: a column of items for each stage, with scores and how far each item has moved.

import { colourOf } from "./kinds.js";
import { byId, calm, count, el, score, valueText } from "./parts.js";
import { pictureOf } from "./pictures.js";
import { movesText } from "./rules.js";
import { attributeText, titleOf } from "./titles.js";

const ELSEWHERE = ["picture"]; // attributes that are drawn

/**
 * The stages that a response has, in order: [{ key, title, by, total, rankOf, scoreOf, move }].
 * `move`: { key, of } gives the heading and the text of how far a candidate has moved.
 */
export function stagesOf(model, response, blended) {
  const counts = response.stages ?? { retrieved: response.items.length, ranked: response.items.length };
  const task = model.tasks[0]?.name;
  const stages = [];
  const moves = new Map(response.items.map((item) => [item.item_id, item.moves]));
  if (
    model.stages.includes("retrieve") &&
    response.candidates.some((c) => c.retrieval_rank != null)
  ) {
    stages.push({
      key: "retrieved",
      title: "Retrieved",
      by: orderOf(response),
      total: counts.retrieved,
      rankOf: (c) => c.retrieval_rank,
      scoreOf: (c) => c.retrieval_score,
      sourcesOf: (c) => c.sources,
    });
  }
  if (model.stages.includes("rank") && response.candidates.some((c) => c.ranked_rank != null)) {
    stages.push({
      key: "ranked",
      title: "Ranked",
      by: `prediction of ${task}`,
      total: counts.ranked,
      rankOf: (c) => c.ranked_rank,
      scoreOf: (c) => c.predictions?.[task],
    });
  }
  if (blended || stages.length === 0) {
    stages.push({
      key: "blended",
      title: blended ? "Blended" : "Shown",
      by: blended ? "blend score" : "score",
      total: response.candidates.length,
      rankOf: (c) => c.rank,
      scoreOf: (c) => c.score,
    });
  }
  if (Object.keys(response.explain?.rules ?? {}).length > 0) {
    const before = stages.at(-1);
    if (before.key === "blended") before.rankOf = (c) => c.blended_rank ?? c.ranked_rank ?? c.retrieval_rank ?? c.rank;
    stages.push({
      key: "ruled",
      title: "After rules",
      by: "rules",
      total: response.candidates.length,
      rankOf: (c) => c.rank,
      scoreOf: (c) => c.score,
      movesOf: (c) => moves.get(c.item_id),
    });
  }
  stages.forEach((stage, i) => {
    const from = stages[i - 1]?.rankOf;
    const of = (c) => moveText(from(c), stage.rankOf(c), "the stage before");
    stage.move = from && { key: "moved", of };
  });
  return stages;
}

/** What the retrieved items are ordered by. */
function orderOf({ fallback, candidates }) {
  if (fallback) return "popularity";
  return candidates.some((c) => c.sources) ? "ranks in the sources" : "retrieval score";
}

/** The sources that found a candidate, as a line of text; null without sources. */
function sourcesText(sources) {
  if (!sources) return null;
  const names = Object.keys(sources);
  return el("span", { class: "attributes" }, names.length ? names.join(" · ") : "added by rules");
}

/**
 * Draw the columns; `view`: { stages, candidates, k, column, ownRanks: Map or null, attributesOf,
 * open: called with a candidate, add: called with one that the user might click, or null }. The
 * last column shows what the user sees.
 */
export function drawFunnel(view) {
  const box = byId("columns");
  const keys = view.stages.map((stage) => stage.key);
  if ([...box.children].map((c) => c.dataset.stage).join() !== keys.join()) {
    box.replaceChildren(...view.stages.map(emptyColumn));
    drawTabs(view.stages);
  }
  view.stages.forEach((stage, i) => {
    const last = i === keys.length - 1;
    drawColumn(box.children[i], stage, last ? view : { ...view, ownRanks: null, add: null });
  });
}

export function emptyColumn({ key, title }) {
  const heading = el("h3", { id: `stage-${key}` }, title);
  return el(
    "section",
    { class: "column", "data-stage": key, "aria-labelledby": `stage-${key}` },
    el("header", {}, heading, el("p")),
    el("div", { class: "keys" }),
    el("ol"),
  );
}

/** One radio button for each stage; the style sheet shows them on narrow screens only. */
function drawTabs(stages) {
  const tabs = byId("tabs");
  const shown = stages.at(-1).key;
  const choices = stages.map(({ key, title }) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name: "stage",
        value: key,
        checked: key === shown,
        change: () => showStage(key),
      }),
      title,
    ),
  );
  tabs.replaceChildren(tabs.querySelector("legend"), ...choices);
  tabs.hidden = stages.length < 2;
  showStage(shown);
}

function showStage(key) {
  for (const column of byId("columns").children)
    column.classList.toggle("chosen", column.dataset.stage === key);
}

/** Draw the first items of a stage, whose `candidates` default to those of the view. */
export function drawColumn(column, stage, view) {
  const candidates = stage.candidates ?? view.candidates;
  const first = candidates
    .filter((c) => stage.rankOf(c) != null && stage.rankOf(c) <= view.k)
    .sort((a, b) => stage.rankOf(a) - stage.rankOf(b));
  const scores = candidates.map(stage.scoreOf).filter(Number.isFinite);
  const scale = { low: Math.min(...scores), high: Math.max(...scores) };
  const own = view.ownRanks;
  column.querySelector("header p").textContent = `${count(stage.total)} candidates`;
  const keys = [
    "",
    `by ${stage.by}`,
    "score",
    ...(stage.move ? [stage.move.key] : []),
    ...(own ? ["± own"] : []),
  ];
  column.querySelector(".keys").replaceChildren(...keys.map((key) => el("span", {}, key)));
  column.classList.toggle("compared", own !== null);
  column.classList.toggle("moves", Boolean(stage.move));
  column.classList.toggle("adds", view.add !== null);
  reorder(
    column.querySelector("ol"),
    first.map((c) => itemRow(c, stage, { scale, own, view })),
  );
}

function itemRow(candidate, stage, { scale, own, view }) {
  const rank = stage.rankOf(candidate);
  const value = stage.scoreOf(candidate);
  const bar = el("span", { class: "bar" }, el("span"));
  const share = scale.high > scale.low ? (value - scale.low) / (scale.high - scale.low) : 1;
  bar.firstChild.style.width = `${Number.isFinite(share) ? Math.max(2, 100 * share) : 0}%`;
  const button = el(
    "button",
    { type: "button", class: "item", click: () => view.open(candidate) },
    el("span", { class: "rank" }, `${rank}`),
    itemText(
      candidate.item_id,
      view.attributesOf(candidate),
      view.column,
      candidate.type,
      lineOf(stage, candidate),
    ),
    el("span", { class: "score" }, score(value), bar),
    stage.move?.of(candidate),
    own && moveText(own.get(candidate.item_id), rank, "the bundle's blend"),
  );
  return el("li", { "data-id": `${candidate.item_id}` }, button, view.add && addButton(candidate, view));
}

/** What stands below an item instead of its attributes, null for these. */
function lineOf(stage, candidate) {
  if (stage.movesOf) return movesText(stage.movesOf(candidate));
  return stage.sourcesOf ? sourcesText(stage.sourcesOf(candidate)) : null;
}

function addButton(candidate, { add }) {
  const words = `What if the user clicks item ${candidate.item_id}?`;
  const click = () => add(candidate);
  return el("button", { type: "button", class: "add", title: words, "aria-label": words, click }, "+");
}

/** Picture, title, id and a few attributes of an item, or `instead` of these, on two lines. */
export function itemText(id, attributes, column, type, instead) {
  const known = attributes ?? {};
  const [title, picture] = [titleOf(known), pictureOf(known)];
  const kind = type ?? known[column];
  const others = Object.entries(known).filter(
    ([name, value]) => ![column, ...ELSEWHERE].includes(name) && ![id, title].includes(value),
  );
  const line = others.map((one) => attributeText(...one)).filter(Boolean).slice(0, 4);
  const dot =
    column && kind != null && el("span", { class: `dot colour-${colourOf(column, kind)}` });
  const second = el(
    "span",
    { class: "attributes" },
    dot,
    [kind != null && valueText(kind), ...line].filter(Boolean).join(" · "),
  );
  return el(
    "span",
    { class: picture ? "what pictured" : "what" },
    picture,
    el(
      "span",
      { class: title ? "id titled" : "id" },
      el("b", {}, `${id}`),
      title && el("span", { class: "title" }, ` ${title}`),
    ),
    instead ?? second,
  );
}

/** How far an item has moved since another list; a null rank `before` is that of a new one. */
export function moveText(before, now, since) {
  if (before == null) return el("span", { class: "move up" }, "new");
  const by = before - now;
  if (by === 0)
    return el(
      "span",
      { class: "move" },
      el("span", { "aria-hidden": "true" }, "·"),
      el("span", { class: "spoken" }, `as in ${since}`),
    );
  const way = by > 0 ? "up" : "down";
  return el(
    "span",
    { class: `move ${way}`, title: `rank ${before} in ${since}` },
    el("span", { "aria-hidden": "true" }, `${by > 0 ? "▲" : "▼"}${Math.abs(by)}`),
    el("span", { class: "spoken" }, `${way} ${Math.abs(by)} from ${since}`),
  );
}

/** Put rows in place of the old ones; those that were there glide to their new place. */
function reorder(list, rows) {
  const before = new Map([...list.children].map((row) => [row.dataset.id, row.offsetTop]));
  const focus = focusIn(list);
  list.replaceChildren(...rows);
  if (focus) {
    const row = rows.find(({ dataset }) => dataset.id === focus.id) ?? rows[focus.place] ?? rows.at(-1);
    row?.querySelector(focus.control)?.focus({ preventScroll: true });
  }
  if (calm.matches || before.size === 0) return;
  for (const row of rows) {
    const by = before.has(row.dataset.id) ? before.get(row.dataset.id) - row.offsetTop : null;
    if (by === null) row.animate({ opacity: [0.2, 1] }, 200);
    else if (by !== 0)
      row.animate(
        { transform: [`translateY(${by}px)`, "none"] },
        { duration: 200, easing: "ease-out" },
      );
  }
}

/** The control of a list that has the focus: its kind, and the id and the place of its item. */
function focusIn(list) {
  const row = list.contains(document.activeElement) && document.activeElement.closest("li");
  if (!row) return null;
  const control = document.activeElement.matches(".add") ? ".add" : ".item";
  return { control, id: row.dataset.id, place: [...list.children].indexOf(row) };
}
