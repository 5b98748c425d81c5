// The views of the page, one at a time, chosen by the hash of the address.

import { byId } from "./parts.js";

const VIEWS = ["recommendations", "shop", "versions", "experiments"];
const FOCUS = { recommendations: "funnel" }; // what has no heading of its own

/**
 * Show the view that the address names, now and whenever it changes.
 * `loaders`: by view, a function that is called when the view is shown; `first`: the view of an
 * address without a name.
 */
export function openViews(loaders, first) {
  const known = VIEWS.filter((view) => view in loaders);
  const show = (name) => {
    for (const view of VIEWS) byId(view).hidden = view !== name;
    byId("search").classList.toggle("elsewhere", name === "shop"); // the shop has its own
    for (const link of byId("views").querySelectorAll("a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    loaders[name]?.();
  };
  addEventListener("hashchange", () => {
    const name = named(known, first);
    if (name === null) return; // a place within the view, as that of the skip link
    show(name);
    byId(FOCUS[name] ?? `${name}-title`).focus();
  });
  for (const view of known)
    byId(`${view}-refresh`)?.addEventListener("click", loaders[view]);
  show(named(known, first) ?? first);
}

/** The view that the address names; null for a place within a view. */
function named(known, first) {
  if (location.hash === "") return first;
  return known.find((view) => location.hash === `#${view}`) ?? null;
}
