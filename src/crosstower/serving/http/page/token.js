// The dialog that asks for a token.

import { byId } from "./parts.js";

/** Ask for a token, and say why; return a promise of it, null if the dialog is cancelled. */
export function askForToken(words) {
  const dialog = byId("token");
  byId("token-problem").textContent = words;
  byId("token-text").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "use" ? byId("token-text").value : null),
      { once: true },
    );
  });
}
