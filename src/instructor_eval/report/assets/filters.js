// Which rows and columns of the table are shown, and which dots of the charts. Their state is in the hash: report.js.
"use strict";
function makeFilters(table, fixed, names, setHidden) {
  const $ = (id) => document.getElementById(id);
  const rows = [...table.tBodies[0].rows];
  const heads = [...$("heads").cells];
  const encoded = names.map(encodeURIComponent); // a name may hold the comma that stands between two
  const hidden = (state) => new Set((state.hide ?? "").split(",").map((name) => encoded.indexOf(name)));

  // Headers above several columns: the first cell of each stands for the name, the second for rank and instructions.
  const groups = [...table.tHead.rows].slice(0, -1).map((row) => {
    let place = 0;
    return [...row.cells].map((cell) => {
      const from = place;
      place += cell.colSpan;
      return { cell, from, to: place };
    });
  }).flat();

  // A box for every column but the name.
  const boxes = heads.map((th, place) => {
    if (place === 0) return null;
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    const label = document.createElement("label");
    label.append(box, ` ${names[place]}`);
    $("shown").append(label);
    box.onchange = () => setHidden(encoded.filter((_, i) => boxes[i] && !boxes[i].checked).join(","));
    return box;
  });

  function showsRow(row, state, words) {
    const { k, v, f, s, side } = row.dataset;
    const text = `${row.cells[0].textContent} ${side} ${row.cells[2].textContent}`.toLowerCase();
    return words.every((word) => text.includes(word))
      && (!state.family || f === state.family)
      && (!state.variant || (k !== "published" && v === state.variant))
      && (!state.size || Number(s) <= Number(state.size))
      && (k !== "published" || state.published !== "off");
  }
  function showsColumn(th, place, state, hide) {
    if (hide.has(place)) return false;
    if (place < fixed) return true;
    const { b, t, d } = th.dataset;
    return (!state.benchmark || b === state.benchmark || b === "all")
      && (!state.type || t === state.type)
      && (!state.domain || d === state.domain);
  }

  function apply(state) {
    const words = (state.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const hide = hidden(state);
    for (const row of rows) row.hidden = !showsRow(row, state, words);
    const shown = heads.map((th, place) => showsColumn(th, place, state, hide));
    heads.forEach((th, place) => {
      if (th.hidden === shown[place]) for (const row of [{ cells: heads }, ...rows]) row.cells[place].hidden = !shown[place];
      if (boxes[place]) boxes[place].checked = !hide.has(place);
    });
    for (const { cell, from, to } of groups) {
      const width = shown.slice(from, to).filter(Boolean).length;
      cell.hidden = !width;
      if (width) cell.colSpan = width;
    }
    const seen = new Set(rows.filter((row) => !row.hidden).map((row) => row.dataset.r));
    for (const mark of document.querySelectorAll(".chart [data-r]")) mark.classList.toggle("off", !seen.has(mark.dataset.r));
    const said = [];
    if (seen.size < rows.length) said.push(`${seen.size} of ${rows.length} rows`);
    const columns = shown.slice(1).filter(Boolean).length;
    if (columns < heads.length - 1) said.push(`${columns} of ${heads.length - 1} columns`);
    $("count").textContent = said.join(", ");
  }
  return { fields: ["q", "family", "variant", "benchmark", "type", "domain", "size", "published"], apply };
}
