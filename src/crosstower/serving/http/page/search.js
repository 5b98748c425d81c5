// The search of the header: items nearest to a text, within the filter of the request.

import * as api from "./api.js";
import { byId } from "./parts.js";

/** Show what a search finds in the drawer; `request` is the form, whose filter and query apply. */
export function openSearch(request, drawer) {
  byId("search").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = byId("search-text").value.trim();
    const { where = null, query, k } = request.read();
    try {
      const { items } = await api.search({ text, k, where, query });
      byId("search-problem").textContent = "";
      drawer.openSearch(where ? `“${text}” where ${where}` : `“${text}”`, items);
    } catch (error) {
      byId("search-problem").textContent = error.message;
    }
  });
}
