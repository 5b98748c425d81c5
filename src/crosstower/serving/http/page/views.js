// The views of the page, one at a time, chosen by the hash of the address.

import { byId } from "./parts.js";

const VIEWS = ["recommendations", "versions", "experiments"];

/**
 * Show the view that the address names, now and whenever it changes.
 * `loaders`: by view, a function that is called when the view is shown.
 */
export function openViews(loaders) {
  const show = (name) => {
    for (const view of VIEWS) byId(view).hidden = view !== name;
    for (const link of byId("views").querySelectorAll("a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    loaders[name]?.();
  };
  addEventListener("hashchange", () => {
    const name = named();
    if (name === null) return; // a place within the view, as that of the skip link
    show(name);
    byId(name === VIEWS[0] ? "funnel" : `${name}-title`).focus();
  });
  for (const view of Object.keys(loaders))
    byId(`${view}-refresh`).addEventListener("click", loaders[view]);
  show(named() ?? VIEWS[0]);
}

/** The view that the address names; null for a place within a view. */
function named() {
  if (location.hash === "") return VIEWS[0];
  return VIEWS.find((view) => location.hash === `#${view}`) ?? null;
}
