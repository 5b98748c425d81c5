// The page: sends the request whenever it or the blend changes, and draws the newest response.

import * as api from "./api.js";
import { drawCharts } from "./charts.js";
import { openDrawer } from "./drawer.js";
import { openExperiments } from "./experiments.js";
import { drawFunnel, stagesOf } from "./funnel.js";
import { openHistory, SHOWN } from "./history.js";
import { kindsOf } from "./kinds.js";
import { byId, count, el, later, milliseconds } from "./parts.js";
import { noticesOf } from "./notices.js";
import { openRequest } from "./request.js";
import { callOff, listFor, newest, whatIfFor } from "./responses.js";
import { openRules } from "./rules.js";
import { openSearch } from "./search.js";
import { openShop } from "./shop/shop.js";
import { openStudio } from "./studio.js";
import { keepFlags } from "./titles.js";
import { askForToken } from "./token.js";
import { loadVersions } from "./versions.js";
import { openViews } from "./views.js";
import { differenceWords, openWhatIf } from "./whatif.js";

const page = {
  model: null,
  request: null, // the form
  rules: null, // the editor
  studio: null, // null where the bundle has no tasks
  history: null, // the card of the user, null where the bundle has no users or only ranks
  whatIf: null, // null where the bundle only ranks
  drawer: null,
  shop: null, // null unless the server has a shop page
  sent: null, // what the form held when it was last sent
  own: null, // the response by the bundle's own blend
  shown: null, // the response that is drawn; with what-if clicks, `before` is that without them
  attributes: new Map(), // by item id
};

async function start() {
  api.onUnauthorised(askForToken);
  page.drawer = openDrawer(() => (byId("shop").hidden ? funnelContext() : page.shop.context()));
  try {
    page.model = await api.model();
    keepFlags(page.model.attributes);
  } catch (error) {
    const again = el("button", { type: "button", click: () => location.reload() }, "Try again");
    byId("trouble").replaceChildren(error.message, again);
    return;
  }
  showModel();
  if (matchMedia("(max-width: 760px)").matches) byId("request-card").open = false;
  byId("main").hidden = false;
  page.request = openRequest(page.model, () => submit());
  page.rules = openRules(page.model, () => page.request && submit("rules-problem"));
  if (page.model.tasks.length > 0) {
    byId("studio").hidden = false;
    page.studio = openStudio(
      page.model,
      later(60, () => page.own && blendAgain()),
    );
  }
  if (!ranksOnly()) {
    if (page.model.user_column) page.history = openHistory(page.drawer.openItem);
    page.whatIf = openWhatIf(() => submit());
  }
  if (ranksOnly()) byId("request-card").open = true;
  openSearch(page.request, page.drawer);
  redrawOnResize();
  const hasShop = page.model.shop != null && !ranksOnly();
  if (hasShop) page.shop = openShop(page.model, page.drawer);
  byId("shop-link").hidden = !hasShop;
  openViews(
    {
      recommendations: () => hasShop && !page.sent && submit(),
      versions: loadVersions,
      experiments: openExperiments(() => page.sent?.user ?? null),
      ...(hasShop && { shop: page.shop.load }),
    },
    hasShop ? "shop" : "recommendations",
  );
  if (!hasShop) await submit();
}

/** What the drawer knows of an item while the funnel is shown. */
const funnelContext = () => ({
  model: page.model,
  column: typeColumn(),
  candidateOf,
  attributesOf,
  countsOf: (id) => page.shown?.items.find((item) => item.item_id === id)?.counts,
  reasonsOf: () => [],
});

/** Charts are drawn for the width that they have. */
function redrawOnResize() {
  const box = byId("results");
  let width = box.clientWidth;
  const redraw = later(80, () => page.shown && box.clientWidth > 0 && drawResults());
  new ResizeObserver(() => {
    if (box.clientWidth === 0 || box.clientWidth === width) return; // 0: another view is shown
    width = box.clientWidth;
    redraw();
  }).observe(box);
}

const ranksOnly = () => !page.model.stages.includes("retrieve");

/** Ask by what the form holds, by the bundle's own blend and then by a changed one. */
async function submit(problemId = "request-problem") {
  const sent = read();
  if (sent === null) return;
  byId("request-summary").textContent = sent.user === null ? "" : `${sent.user}`;
  page.whatIf?.of(sent.user);
  if (sent.items?.length === 0) {
    callOff();
    page.own = page.shown = null;
    showEmpty("Enter the items or rows to rank: this bundle has no retrieval stage.");
    return;
  }
  const received = await newest(problemId, async (signal) => {
    const attributes = new Map();
    await page.history?.load(sent.user, signal);
    page.own = page.shown = await listOf(sent, null, attributes, signal);
    Object.assign(page, { sent, attributes });
  });
  if (received && page.studio?.override()) await blendAgain();
  else if (received) draw();
}

/** The list of a request; with what-if clicks also the one without them. */
function listOf(sent, blend, attributes, signal) {
  const history = page.whatIf?.history(page.history?.items() ?? []);
  const send = history ? whatIfFor : listFor;
  const request = { ...sent, known: page.history?.items().slice(-SHOWN) };
  return send(page.model, history ? { ...request, history } : request, blend, attributes, signal);
}

/** What the form holds, null where it cannot be read. */
function read() {
  try {
    return { ...page.request.read(), ...page.rules.read() };
  } catch (error) {
    byId("request-problem").textContent = error.message;
    return null;
  }
}

/** Ask for the same candidates by the studio's blend; if it is refused, the order stays. */
async function blendAgain() {
  const blend = page.studio.override();
  const received = await newest("studio-problem", async (signal) => {
    page.shown = blend
      ? await listOf(page.sent, blend, page.attributes, signal)
      : page.own;
  });
  if (received !== null) draw();
}

const attributesOf = ({ item_id }) => page.attributes.get(item_id);
const candidateOf = (id) => page.shown?.candidates.find((c) => c.item_id === id);

/** The column that `type` of a candidate is a value of. */
function typeColumn() {
  const blend = page.shown?.blend ?? page.model.blend;
  return blend?.by ?? page.model.types;
}

function draw() {
  const { own, shown } = page;
  const notices = noticesOf(shown, page.model, page.sent);
  byId("notice").textContent = notices.join("\n");
  byId("notice").hidden = notices.length === 0;
  showLatency(shown.stages?.milliseconds);
  page.history?.describe(page.attributes, typeColumn());
  if (shown.candidates.length === 0) {
    showEmpty(
      page.sent.where
        ? `No item matches the filter ${page.sent.where}`
        : "No items were found for this request.",
    );
    return;
  }
  page.studio?.announce(own === shown ? "" : comparison(own, shown));
  drawResults();
  sayLater();
}

function drawResults() {
  const { own, shown, model, sent } = page;
  page.whatIf?.draw(whatIfView());
  if (shown.candidates.length === 0) return;
  const changed = own !== shown;
  const blended =
    changed || (model.blend !== null && shown.candidates.some((c) => c.blended_rank != null));
  const stages = stagesOf(model, shown, blended);
  const kinds = kindsOf(typeColumn(), shown.candidates); // gives types their colours
  drawFunnel({
    stages,
    candidates: shown.candidates,
    k: sent.k,
    column: typeColumn(),
    ownRanks: changed ? new Map(own.candidates.map((c) => [c.item_id, c.rank])) : null,
    attributesOf,
    open: page.drawer.openItem,
    add: page.whatIf?.start ?? null,
  });
  byId("funnel-note").textContent = funnelWords(stages.length, changed);
  byId("charts").hidden = false;
  drawCharts(byId("charts"), {
    kinds,
    candidates: shown.candidates,
    ownFirst: changed
      ? new Set(own.candidates.filter((c) => c.rank <= sent.k).map((c) => c.item_id))
      : null,
    k: sent.k,
    blended,
    tasks: model.tasks.map((task) => task.name),
  });
}

/** What the section of what-if clicks shows; null without clicks. */
function whatIfView() {
  const { shown, sent } = page;
  if (!shown.before) return null;
  return {
    before: shown.before,
    after: shown,
    k: sent.k,
    user: sent.user,
    items: page.history?.items().length ?? 0,
    column: typeColumn(),
    attributesOf,
    open: page.drawer.openItem,
  };
}

function funnelWords(stages, changed) {
  const first = Math.min(page.sent.k, page.shown.candidates.length);
  const words = [
    `First ${first}${stages > 1 ? " per stage; moved: since the stage before" : ""}`,
    changed && "± own: compared with the bundle's blend",
    page.whatIf && "+: what if?",
  ];
  return words.filter(Boolean).join("; ");
}

function comparison(own, shown) {
  const ranks = new Map(own.candidates.map((c) => [c.item_id, c.rank]));
  const first = shown.candidates.filter((c) => c.rank <= page.sent.k);
  const fresh = first.filter((c) => !(ranks.get(c.item_id) <= page.sent.k)).length;
  const moved = first.filter((c) => ranks.get(c.item_id) !== c.rank).length - fresh;
  return `Compared with the bundle's blend: ${fresh} of the first ${first.length} are new, ${moved} others moved.`;
}

function showEmpty(words) {
  byId("columns").replaceChildren(el("p", { class: "empty" }, words));
  byId("tabs").hidden = true;
  byId("charts").hidden = true;
  byId("funnel-note").textContent = "";
  page.whatIf?.draw(page.shown ? whatIfView() : null);
  byId("status").textContent = words;
}

const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

function showModel() {
  const { name, version, number, items, created } = page.model;
  document.title = `${name} · Crosstower`;
  byId("name").textContent = name;
  byId("facts").replaceChildren(
    fact("version", number ? `${number} (${version})` : version),
    ...(items > 0 ? [fact("items", count(items))] : []),
  );
  byId("facts").title = `built ${created}`;
  byId("search").hidden = !page.model.text_search;
}

function showLatency(spent) {
  byId("latency").replaceChildren(
    ...Object.entries(spent ?? {}).map(([name, ms]) => fact(name, milliseconds(ms))),
  );
}

/** Tell a screen reader once things are at rest, not at each step of a slider. */
const sayLater = later(600, () => {
  if (!page.shown?.candidates.length) return;
  const first = Math.min(page.sent.k, page.shown.candidates.length);
  const view = whatIfView();
  const words = [
    `${first} items.`,
    view && differenceWords(view),
    page.own !== page.shown && comparison(page.own, page.shown),
  ];
  byId("status").textContent = words.filter(Boolean).join(" ");
});

start();
