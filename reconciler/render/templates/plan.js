"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const all = [...document.querySelectorAll("details.change")];
  const search = find("search"), shown = find("shown"), none = find("none");
  const wanted = { action: new Set(), platform: new Set() };
  let texts = null;

  const openAll = (open) => { for (const one of all) one.open = open; };
  const visible = () => all.filter((one) => !one.hidden);

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && texts === null) texts = all.map((one) => one.textContent.toLowerCase());
    let count = 0;
    all.forEach((one, place) => {
      const fits = ["action", "platform"].every((key) => !wanted[key].size || wanted[key].has(one.dataset[key]))
        && words.every((word) => texts[place].includes(word));
      one.hidden = !fits;
      count += fits;
    });
    none.hidden = count > 0;
    const total = all.length.toLocaleString("en");
    shown.value = count === all.length ? `${total} changes` : `${count.toLocaleString("en")} of ${total} changes`;
  }

  function showAll() {
    search.value = "";
    for (const key of ["action", "platform"]) wanted[key].clear();
    for (const chip of document.querySelectorAll("[aria-pressed]")) chip.setAttribute("aria-pressed", "false");
    filter();
  }

  function step(by) {
    const rows = visible();
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement.closest("details.change"));
    const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
    const summary = rows[next].querySelector("summary");
    summary.focus({ preventScroll: true });
    summary.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[aria-pressed]");
    if (!chip) return;
    const [key, value] = Object.entries(chip.dataset)[0];
    const on = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(on));
    wanted[key][on ? "add" : "delete"](value);
    filter();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      showAll();
      search.blur();
    } else if (event.target === search) {
      if (event.key === "Enter") step(1);
    } else if (event.key === "/") {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      step(event.key === "j" ? 1 : -1);
    }
  });

  search.addEventListener("input", filter);
  find("open").addEventListener("click", () => openAll(true));
  find("close").addEventListener("click", () => openAll(false));
  if (navigator.clipboard) {
    const copy = find("copy");
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(find("digest").textContent);
      copy.textContent = "Copied";
    });
  }

  let before = null;
  addEventListener("beforeprint", () => { before = all.map((one) => one.open); openAll(true); });
  addEventListener("afterprint", () => { all.forEach((one, place) => { one.open = before[place]; }); });

  find("tools").hidden = false;
  if (all.length > 25) openAll(false);
  filter();
})();
