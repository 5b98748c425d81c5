// The shop page: a feed, a text search and a map; a click is an event, and the list changes.

import * as api from "../api.js";
import { byId, count, el, later, percent, score } from "../parts.js";
import { kindsOf } from "../kinds.js";
import { titleOf } from "../titles.js";
import { emptyWords, hourIn, kilometres, missingWords, offersOf, requestOf } from "./offers.js";
import { drawOffers } from "./list.js";
import { openMap } from "./map.js";
import { openVisitor, randomText } from "./visitor.js";

const [FIRST, MORE, MOST] = [12, 12, 60];
const FALLBACKS = "These are the most popular ones: nothing is known of this visitor yet.";

/**
 * Make the shop of a model. Returns { load(), context() }: `load` asks for the first list, and
 * `context` says what the drawer knows of an item.
 */
export function openShop(model, drawer) {
  const offers = offersOf(model);
  const state = { response: null, explained: null, ranks: null, seen: new Set(), shown: FIRST, hour: null, number: 0 };
  const visitor = openVisitor(model, () => {
    Object.assign(state, { seen: new Set(), ranks: null, shown: FIRST });
    load(visitor.isNew() ? "You are a new visitor." : `You are ${visitor.id()}.`);
  });
  const search = offers.text || offers.hours ? openSearch(model, offers, state, () => again()) : null;
  const fields = openFields(offers, () => again());
  const map = offers.place && openMap(later(250, () => again()), (id) => focusOn(id), FIRST);
  if (matchMedia("(max-width: 760px)").matches) for (const id of ["shop-fields", "shop-map"]) byId(id).open = false;

  const asked = () => ({
    user: visitor.id(),
    values: fields(),
    text: search?.text() ?? "",
    centre: map ? map.centre() : null,
    radius: map ? map.radius() : null,
    hour: state.hour,
    k: Math.min(MOST, model.limits.k),
  });
  const request = () => requestOf(asked(), offers, model);
  const again = () => {
    Object.assign(state, { ranks: null, shown: FIRST });
    return load("");
  };
  const load = async (words = "") => {
    const number = ++state.number;
    try {
      let response = await api.recommend(request());
      if (offers.origin && map?.centre() === null && response.items.length > 0) {
        map.draw(points(response.items)); // the first centre is that of the items
        response = await api.recommend(request());
      }
      if (number !== state.number) return; // a newer one is on its way
      state.response = response;
      byId("shop-problem").textContent = "";
      draw();
      byId("shop-changes").textContent = state.ranks ? changesOf(state) : words;
    } catch (error) {
      if (number === state.number) byId("shop-problem").textContent = error.message;
    }
  };

  /** Send an event about an item, and ask for the list that follows from it. */
  const tell = async (item, type) => {
    const ranks = new Map(state.response.items.slice(0, state.shown).map((one) => [one.item_id, one.rank]));
    const { query } = request();
    const event = { event_id: randomText(), type, user: visitor.id(), item_id: item.item_id, rank: item.rank, request_id: state.response.request_id, query };
    try {
      await api.addEvent(event);
    } catch (error) {
      if (error.status === 403 && (await api.otherToken(error.message))) return tell(item, type);
      byId("shop-problem").textContent = error.message;
      return null;
    }
    if (event.user !== visitor.id()) return null; // another visitor was chosen in the meantime
    state.seen.add(item.item_id);
    visitor.saw(item.item_id, item.attributes);
    state.ranks = ranks;
    return load();
  };
  const why = async (item) => {
    try {
      state.explained = await api.recommend({ ...request(), stages: true, explain: true });
    } catch (error) {
      byId("shop-problem").textContent = error.message;
      return;
    }
    drawer.openItem(item);
  };
  const near = (item) => {
    map.move(offers.place.map((name) => item.attributes[name]));
    byId("shop-changes").textContent = "The map is centred there.";
  };

  function draw() {
    const { items, fallback, notices } = state.response;
    const column = model.types;
    kindsOf(column, items.map((item) => ({ type: item.attributes?.[column] })));
    const hidden = ["title", "name", "headline", "picture", "text", model.item_column, ...(offers.place ?? [])];
    const click = offers.user && offers.events.length > 0;
    const others = click ? offers.events.slice(1).map((type) => [capital(type), (item) => tell(item, type)]) : [];
    drawOffers({
      items: items.slice(0, state.shown),
      ranks: state.ranks,
      seen: state.seen,
      hidden,
      column,
      awayOf: (item) => (map && map.radius() !== null && placed(item) ? kilometres(map.centre(), placed(item)) : null),
      look: click ? (item) => tell(item, offers.events[0]) : why,
      why,
      near: map && near,
      placed,
      others,
    });
    map?.draw(points(items));
    byId("shop-title").textContent = heading();
    byId("shop-more").hidden = items.length <= state.shown;
    const lines = [
      items.length === 0 && emptyWords(asked()),
      items.length > 0 && fallback && FALLBACKS,
      missingWords(offers),
      ...(notices ?? []).filter((notice) => /^(rules|history)/.test(notice)),
    ].filter(Boolean);
    byId("shop-notice").textContent = lines.join("\n");
    byId("shop-notice").hidden = lines.length === 0;
  }
  const placed = ({ attributes }) => {
    const at = (offers.place ?? []).map((name) => attributes?.[name]);
    return at.length === 2 && at.every(Number.isFinite) && Math.abs(at[0]) <= 90 ? at : null;
  };
  const points = (items) =>
    items
      .filter(placed)
      .map((item) => ({ id: item.item_id, at: placed(item), rank: item.rank, name: titleOf(item.attributes) ?? item.item_id, area: item.attributes[offers.area] }));
  const heading = () => (search?.text() ? `“${search.text()}”` : visitor.isNew() ? "For you" : `For ${visitor.id()}`);
  const focusOn = (id) => {
    const place = state.response.items.findIndex((item) => `${item.item_id}` === id);
    if (place >= state.shown) showMore(place + 1);
    byId("shop-list").querySelector(`[data-id="${CSS.escape(id)}"] .look`)?.focus();
  };
  const showMore = (least) => {
    const from = state.shown;
    while (state.shown < Math.max(least, from + MORE)) state.shown += MORE;
    draw();
    byId("shop-list").children[from]?.querySelector(".look").focus();
  };
  byId("shop-more").addEventListener("click", () => showMore(0));
  for (const kind of ["mouseover", "focusin"])
    byId("shop-list").addEventListener(kind, (event) => map?.highlight(event.target.closest("li")?.dataset.id));
  byId("shop-list").addEventListener("mouseleave", () => map?.highlight(null));

  const context = () => {
    const candidates = state.explained?.stages?.candidates ?? [];
    const itemOf = (id) => state.explained?.items.find((item) => item.item_id === id);
    return {
      model,
      column: model.types,
      candidateOf: (id) => candidates.find((candidate) => candidate.item_id === id),
      attributesOf: ({ item_id: id }) => itemOf(id)?.attributes,
      countsOf: (id) => itemOf(id)?.counts,
      reasonsOf: ({ item_id: id }) => reasonsOf(candidates.find((c) => c.item_id === id), itemOf(id), { model, candidates }),
    };
  };
  return { load: () => state.response ?? load(), context };
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** How the first items differ from those before a click, in words. */
function changesOf({ response, ranks, shown }) {
  const first = response.items.slice(0, shown);
  const fresh = first.filter((item) => !ranks.has(item.item_id)).length;
  const moved = first.filter((item) => ranks.has(item.item_id) && ranks.get(item.item_id) !== item.rank).length;
  if (fresh + moved === 0) return "Your click was stored; the list stays as it was.";
  return `After your click, ${fresh} of the first ${first.length} are new and ${moved} moved.`;
}

/** Why an item is in the list, as sentences: one per stage, and the rules that moved it. */
function reasonsOf(candidate, item, { model, candidates }) {
  if (!candidate) return [];
  const words = [];
  const sources = Object.keys(candidate.sources ?? {});
  const found = sources.length ? `Found by ${sources.join(", ")}: ` : "Retrieved: ";
  if (candidate.retrieval_rank != null) words.push(`${found}place ${candidate.retrieval_rank} of ${count(candidates.length)}.`);
  const predictions = model.tasks
    .filter(({ name }) => candidate.predictions?.[name] != null)
    .map(({ name, kind }) => `${name} ${kind === "binary" ? percent(candidate.predictions[name]) : score(candidate.predictions[name])}`);
  if (predictions.length) words.push(`Predicted: ${predictions.join(", ")}. By ${model.tasks[0].name} alone: place ${candidate.ranked_rank}.`);
  if (candidate.blended_rank != null) words.push(`Blended, by ${blendWords(model.blend)}: place ${candidate.blended_rank}.`);
  const rules = Object.entries(item?.moves ?? {}).map(([rule, by]) => `${rule} ${by > 0 ? "up" : "down"} ${Math.abs(by)}`);
  if (rules.length) words.push(`Moved by rules: ${rules.join(", ")}.`);
  return words;
}

function blendWords(blend) {
  if (!blend) return "score";
  const terms = Object.entries(blend.weights).map(([task, weight]) => (weight === 1 ? task : blend.mode === "product" ? `${task}^${weight}` : `${weight} ${task}`));
  return [...terms, ...(blend.amount ? [blend.amount] : [])].join(blend.mode === "product" ? " × " : " + ");
}

/** Fields of the other columns of a query; returns a function that reads their texts. */
function openFields({ fields }, changed) {
  const form = byId("shop-fields-form");
  byId("shop-fields").hidden = fields.length === 0;
  const controls = fields.map((field) => [field.name, control(field)]);
  form.replaceChildren(
    ...controls.map(([name, input]) => el("div", { class: "field" }, el("label", { for: input.id }, name.replaceAll("_", " ")), input)),
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => form.checkValidity() && changed());
  return () => Object.fromEntries(controls.map(([name, input]) => [name, input.value]));
}

function control({ name, kind, examples }) {
  const id = `shop-${name}`;
  if (kind === "numeric" || (examples ?? []).length === 0)
    return el("input", { id, type: kind === "numeric" ? "number" : "text", step: "any", placeholder: "any", autocomplete: "off" });
  const options = examples.map((example) => el("option", { value: `${example}` }, `${example}`));
  return el("select", { id }, el("option", { value: "" }, "any"), ...options);
}

/** The search box and the time; returns { text() }. */
function openSearch(model, offers, state, changed) {
  const form = byId("shop-search");
  form.hidden = false;
  const box = el("input", { id: "shop-text", type: "search", autocomplete: "off", placeholder: model.shop.searches[0] ?? "Say what you look for" });
  const read = el("p", { class: "help", role: "status" });
  const time = el("select", { id: "shop-hour" }, el("option", { value: "" }, "any time"), ...HOURS.map((hour) => el("option", { value: hour }, clock(hour))));
  const examples = model.shop.searches.map((text) => el("button", { type: "button", class: "chip", click: () => run(text) }, text));
  let fromWords = false; // whether the time was read from the question, and goes with it
  const run = (text) => {
    if (text !== undefined) box.value = text;
    const hour = offers.hours ? hourIn(box.value) : null;
    if (hour !== null || fromWords) {
      time.value = hour === null ? "" : `${Math.floor(hour)}`;
      state.hour = hour;
    }
    fromWords = hour !== null;
    read.textContent = hour === null ? "" : `Open at ${clock(hour)}, read from your question.`;
    changed();
  };
  time.addEventListener("change", () => {
    state.hour = time.value === "" ? null : +time.value;
    fromWords = false;
    read.textContent = "";
    changed();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  box.addEventListener("search", () => box.value === "" && run()); // the cross that empties it
  form.replaceChildren(
    ...(offers.text ? [el("label", { class: "spoken", for: "shop-text" }, "Search in words"), box] : []),
    ...(offers.hours ? [el("label", { class: "spoken", for: "shop-hour" }, "Open at"), time] : []),
    offers.text ? el("button", {}, "Search") : "",
    el("div", { class: "chips" }, ...examples),
    read,
  );
  return { text: () => (offers.text ? box.value.trim() : "") };
}

const HOURS = Array.from({ length: 24 }, (_, i) => i + 6); // 6 in the morning to 5 at night
const clock = (hour) => `${String(Math.floor(hour) % 24).padStart(2, "0")}:${String(Math.round((hour % 1) * 60)).padStart(2, "0")}`;
