// List the versions that versions.json names, one folder up.
document.addEventListener("DOMContentLoaded", async () => {
  const list = document.getElementById("versions");
  if (!list) return;
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  try {
    const response = await fetch(new URL("../versions.json", root));
    const found = response.ok ? await response.json() : [];
    if (found.length < 2) return;
    for (const version of found) {
      const option = new Option(version, version, false, version === list.dataset.version);
      list.add(option);
    }
    list.closest("label").hidden = false;
  } catch {
    return; // a copy of one version, such as one opened from a disk
  }
  list.addEventListener("change", () => {
    location.href = new URL(`../${list.value}/index.html`, root).href;
  });
});
