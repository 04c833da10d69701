// The page's own script. Everything it shows was written by the templates; it sorts, filters, opens and copies.
// The state (sort, filters, open cell, chart) lives in the URL's hash, so that a link shows what its sender saw.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, props = {}, ...children) => {
    const found = Object.assign(document.createElement(tag), props);
    found.append(...children);
    return found;
  };
  const table = $("board");
  copyButtons(document);
  if (!table) return; // a page without results
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...$("heads").cells];
  const names = heads.map((th) => (th.className === "mean" ? "mean " : "") + th.textContent);
  const FIXED = 3; // model, rank, instructions
  const filters = ["q", "family", "variant", "benchmark", "published"];
  let state = {};
  let arranged = ""; // the sort and filters that the table shows

  // --- what is packed: the board's numbers, and in a large page what is behind its cells
  let unpacking = null;
  const packed = () => (unpacking ??= unpack($("packed").textContent));
  async function unpack(text) {
    const stream = new Blob([bytes85(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const found = JSON.parse(await new Response(stream).text());
    const parts = {}; // from columns to pieces, see report/pack.py
    const filled = (texts) => { texts.forEach((text, i) => (texts[i] = text || texts[i - 1])); return texts; };
    for (const { keys, places } of found.parts) {
      const columns = places.map((place) => (Array.isArray(place) ? filled(place[0].split("\x7f")) : place));
      keys.split("\x7f").forEach((key, i) => (parts[key] = () => columns.map((c) => (Array.isArray(c) ? c[i] : c)).join("")));
    }
    return { ...found, parts, values: found.values.map((column) => column.split("\x7f")) };
  }
  function bytes85(text) { // RFC 1924's digits, but for < > &, which are , . /
    const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%/()*+-;,=.?@^_`{|}~";
    const value = Object.fromEntries([...digits].map((digit, i) => [digit, i]));
    const left = (5 - (text.length % 5)) % 5;
    const whole = text + "~".repeat(left);
    const bytes = new DataView(new ArrayBuffer(whole.length / 5 * 4));
    for (let i = 0; i < whole.length; i += 5) {
      let word = 0;
      for (let k = 0; k < 5; k++) word = word * 85 + value[whole[i + k]];
      bytes.setUint32(i / 5 * 4, word);
    }
    return bytes.buffer.slice(0, bytes.byteLength - left);
  }
  // A part by its key, as new nodes: from the page if it lies open there, else unpacked. null where there is none.
  async function part(key) {
    const open = $(key);
    const holder = make("template");
    holder.innerHTML = open ? open.outerHTML : ((await packed()).parts[key]?.() ?? "");
    const node = holder.content.firstElementChild;
    if (!node) return null;
    node.removeAttribute("id");
    for (const use of holder.content.querySelectorAll("[data-use]")) {
      const facts = $(use.dataset.use).cloneNode(true);
      facts.removeAttribute("id");
      use.replaceWith(make("h4", { textContent: use.textContent }), facts);
    }
    copyButtons(holder.content);
    return holder.content;
  }

  function copyButtons(root) {
    for (const pre of root.querySelectorAll("pre.cmd")) {
      if (pre.parentElement?.className === "cmdbox") continue;
      const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
      button.setAttribute("aria-label", "Copy the command");
      const box = make("div", { className: "cmdbox" });
      pre.replaceWith(box);
      box.append(pre, button);
    }
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".copy");
    if (!button) return;
    const command = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch { // not allowed, or no secure context: leave it selected
      getSelection().selectAllChildren(command);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  // --- state and hash
  // What a hash names on this page: an ordinary link to a section. null where it is a state, or nonsense.
  function section(hash) {
    try { return $(decodeURIComponent(hash.slice(1))); } catch { return null; }
  }
  const read = () => (section(location.hash) ? {} : Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
  function set(changes) {
    state = Object.fromEntries(Object.entries({ ...state, ...changes }).filter(([, value]) => value));
    const text = new URLSearchParams(state).toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    show();
  }
  function show() {
    for (const name of filters) {
      const field = $(name);
      if (!field) continue;
      if (field.type === "checkbox") field.checked = state[name] !== "off";
      else if (field !== document.activeElement || field.value !== (state[name] ?? "")) field.value = state[name] ?? "";
    }
    const wanted = JSON.stringify([state.sort, state.dir, ...filters.map((name) => state[name])]);
    if (wanted !== arranged) {
      arranged = wanted;
      sort();
      filter();
    }
    const axis = document.querySelector(`[name=axis][value="${CSS.escape(state.axis ?? "")}"]`);
    if (axis) axis.checked = true;
    openCell(state.open);
    for (const id of ["a", "b"]) if (state[id]) $(id).value = state[id];
    compare();
  }
  addEventListener("hashchange", () => {
    if (!section(location.hash)) { state = read(); show(); }
  });
  // Links inside the page scroll, and leave the state in the hash alone.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    const target = link && section(link.hash);
    if (!target) return;
    event.preventDefault();
    if ($("panel").open) set({ open: "" });
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
    set({ at: target.id });
  });

  // --- sorting: a model moves with everything below it; what has no value stays at the end
  for (const [place, th] of heads.entries()) {
    const button = make("button", { type: "button", className: "sort", textContent: "↕" });
    button.setAttribute("aria-label", `Sort by ${names[place]}`);
    button.onclick = () => {
      const now = state.sort === key(place) ? state.dir || "desc" : "";
      const first = place === 1 || place < 1 || place === 2 ? "asc" : "desc";
      const second = first === "asc" ? "desc" : "asc";
      if (!now) set({ sort: key(place), dir: first });
      else if (now === first) set({ sort: key(place), dir: second });
      else set({ sort: "", dir: "" });
    };
    th.append(button);
    th.setAttribute("aria-sort", "none");
  }
  function key(place) { return names[place]; }
  const number = (cell) => parseFloat(cell.textContent.replace(/^[▲▼] /, ""));
  function sort() {
    const place = names.indexOf(state.sort);
    const sign = state.dir === "asc" ? 1 : -1;
    heads.forEach((th, i) => {
      const order = i === place ? (sign > 0 ? "ascending" : "descending") : "none";
      th.setAttribute("aria-sort", order);
      th.querySelector(".sort").textContent = { none: "↕", ascending: "▲", descending: "▼" }[order];
    });
    const groups = [];
    for (const row of rows) {
      if (row.className.startsWith("l")) groups.at(-1).push(row);
      else groups.push([row]);
    }
    if (place >= 0) {
      const value = (row) => place === 1 || place >= FIXED ? number(row.cells[place]) : row.cells[place].textContent;
      const missing = (v) => v === "" || Number.isNaN(v);
      groups.sort(([one], [other]) => {
        const [x, y] = [value(one), value(other)];
        if (missing(x) || missing(y)) return missing(x) - missing(y);
        return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
      });
    }
    body.append(...groups.flat());
  }

  // --- filtering
  for (const name of filters) {
    const field = $(name);
    const changed = () => set({ [name]: field.type === "checkbox" ? (field.checked ? "" : "off") : field.value });
    if (field) field.oninput = field.onchange = changed;
  }
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("reset").onclick = () => set({ ...Object.fromEntries(filters.map((f) => [f, ""])), sort: "", dir: "" });
  function filter() {
    const words = (state.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set();
    for (const row of rows) {
      const published = row.dataset.k === "published";
      const text = `${row.cells[0].textContent} ${row.cells[2].textContent}`.toLowerCase();
      row.hidden = !words.every((w) => text.includes(w))
        || (state.family && row.dataset.f !== state.family)
        || (state.variant && (published || row.dataset.v !== state.variant))
        || (published && state.published === "off");
      if (!row.hidden) shown.add(row);
    }
    let head = null;
    for (const row of rows) { // a child whose model is not in sight says whose it is
      if (!row.className.startsWith("l")) head = row;
      row.classList.toggle("orphan", row !== head && head.hidden);
    }
    for (const cell of table.tHead.querySelectorAll("[data-b]")) {
      cell.hidden = Boolean(state.benchmark) && ![state.benchmark, "all"].includes(cell.dataset.b);
    }
    heads.forEach((th, place) => {
      if (place >= FIXED) for (const row of rows) row.cells[place].hidden = th.hidden;
    });
    $("count").textContent = shown.size === rows.length ? "" : `${shown.size} of ${rows.length} rows`;
  }

  // --- cells: buttons, of which one is reached by Tab and the others by arrow keys
  const dim = (cell) => { // in a large page the interval stands bare behind its score
    const text = cell.firstChild?.nodeType === Node.TEXT_NODE ? cell.firstChild.data : "";
    const at = text.search(/ \(?[±(]/);
    if (at > 0) cell.firstChild.replaceWith(text.slice(0, at), make("i", { textContent: text.slice(at) }));
  };
  for (const row of rows) {
    for (const cell of [...row.cells].slice(FIXED)) {
      dim(cell);
      if (!heads[cell.cellIndex].querySelector("a") || !cell.textContent.trim()) continue; // a mean, or nothing
      const button = make("button", { type: "button", tabIndex: -1 }, ...cell.childNodes);
      cell.append(button);
    }
  }
  const buttons = () => [...body.querySelectorAll("td > button")];
  const first = body.querySelector("td > button");
  if (first) first.tabIndex = 0;
  body.addEventListener("click", (event) => {
    const button = event.target.closest("td > button");
    if (!button) return;
    const row = button.closest("tr");
    set({ open: `${row.id.slice(2)}/${names[button.parentElement.cellIndex]}` });
  });
  body.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!cell || !step) return;
    let [row, place] = [cell.parentElement, cell.cellIndex];
    let next = null;
    do { // over empty and hidden cells
      for (let i = 0; i < Math.abs(step[0]); i++) row = step[0] > 0 ? row?.nextElementSibling : row?.previousElementSibling;
      place += step[1];
      next = row?.cells[place];
    } while (next && (next.hidden || row.hidden || !next.querySelector("button")));
    const button = next?.querySelector("button");
    if (!button) return;
    event.preventDefault();
    buttons().forEach((b) => (b.tabIndex = -1));
    button.tabIndex = 0;
    button.focus();
    button.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // --- the panel behind a cell
  const panel = $("panel");
  let opened = "";
  async function openCell(name) {
    if (!name) { opened = ""; if (panel.open) panel.close(); return; }
    if (name === opened) return;
    const cut = name.indexOf("/");
    const row = $(`r-${name.slice(0, cut)}`);
    const place = names.indexOf(name.slice(cut + 1));
    if (!row || place < FIXED) return;
    opened = name;
    const found = await part(`c-${row.dataset.r}-${heads[place].dataset.c}`);
    const plain = () => make("article", {},
      make("h3", { textContent: `${row.cells[0].textContent} · ${names[place]}` }),
      make("p", { textContent: `${row.cells[place].textContent}, published: measured by others, see results/reference` }));
    $("panel-body").replaceChildren(found ?? plain());
    if (!panel.open) panel.showModal();
    panel.scrollTop = 0;
  }
  panel.addEventListener("close", () => {
    const cell = state.open && $(`r-${state.open.split("/")[0]}`)?.cells[names.indexOf(state.open.split("/")[1])];
    set({ open: "" });
    cell?.querySelector("button")?.focus();
  });
  panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });

  // --- parts that wait in closed details
  document.addEventListener("toggle", async (event) => {
    for (const holder of event.target.querySelectorAll?.("[data-part]") ?? []) {
      holder.replaceWith((await part(holder.dataset.part)) ?? "");
    }
  }, true);

  // --- two rows beside each other
  const measured = rows.filter((row) => row.cells[0].textContent);
  for (const [place, id] of ["a", "b"].entries()) {
    const select = $(id);
    for (const row of measured) select.add(new Option(row.dataset.side, row.id.slice(2)));
    select.selectedIndex = Math.min(place, measured.length - 1);
    select.onchange = () => set({ a: $("a").value, b: $("b").value });
  }
  let compared = "";
  async function compare() {
    const [a, b] = [$(`r-${$("a").value}`), $(`r-${$("b").value}`)];
    if (!a || !b || a === b || compared === a.id + b.id) return;
    compared = a.id + b.id;
    const made = await part(`p-${b.dataset.r}-${a.dataset.r}`);
    const data = await packed();
    const where = data.results === "results" ? "" : ` --results ${quoted(data.results)}`;
    const command = make("pre", { className: "cmd", tabIndex: 0 },
      make("code", { textContent: `evaluate compare${where} ${quoted(a.dataset.side)} ${quoted(b.dataset.side)}` }));
    const why = make("p", { className: "note", textContent: made ? "With p-values and the items that moved:"
      : "Differences of the scores as they stand. Paired intervals are on this page for rows of one model and for the --baseline row; this has them for any two:" });
    $("pair").replaceChildren(made ?? forest(a, b, data), why, command);
    copyButtons($("pair"));
  }
  const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
  function forest(a, b, data) {
    const score = (row, column) => data.values[column][row.dataset.r];
    const shared = data.tasks.filter((c) => Number.isFinite(parseFloat(score(a, c))) && Number.isFinite(parseFloat(score(b, c))));
    const lines = shared.map((c) => ({ name: data.columns[c], a: +score(a, c), b: +score(b, c), d: score(b, c) - score(a, c) }));
    if (!lines.length) return make("p", { textContent: "These two have no task in common." });
    lines.sort((x, y) => x.d - y.d);
    const mean = lines.reduce((sum, line) => sum + line.d, 0) / lines.length;
    if (lines.length > 1) lines.unshift({ name: `mean of ${lines.length} tasks`, d: mean });
    const low = Math.min(0, ...lines.map((l) => l.d)), high = Math.max(0, ...lines.map((l) => l.d));
    const at = (v) => 6 + 188 * ((v - low) / (high - low || 1));
    const signed = (v) => (v < 0 ? "" : "+") + (Math.abs(v) < 0.005 ? 0 : v).toFixed(2);
    const found = make("table", { className: "forest" });
    found.createCaption().textContent = `${b.dataset.side} beside ${a.dataset.side}`;
    const head = found.createTHead().insertRow();
    for (const text of ["task", "before", "after", "Δ", "drawn: ▼ worse · better ▲"]) head.append(make("th", { scope: "col", textContent: text }));
    const body = found.createTBody();
    for (const line of lines) {
      const row = body.insertRow();
      const points = (v) => (v === undefined ? "" : v.toFixed(2));
      row.append(make("th", { scope: "row", textContent: line.name }));
      for (const text of [points(line.a), points(line.b), signed(line.d)]) row.append(make("td", { textContent: text }));
      const svg = shape("svg", { viewBox: "0 0 200 14", "aria-hidden": "true" });
      svg.append(shape("path", { class: "zero", d: `M${at(0)} 0v14` }), shape("circle", { cx: at(line.d), cy: 7, r: 3.5 }));
      row.append(make("td", { className: "plot" }, svg));
    }
    return found;
  }
  function shape(tag, attributes) {
    const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
    return found;
  }

  // --- downloads, made of the same numbers as `evaluate leaderboard --format csv`
  const numbers = async () => {
    const { columns, values } = await packed();
    return { columns, lines: (values[0] ?? []).map((_, i) => values.map((column) => column[i])) };
  };
  const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  $("csv").onclick = async () => {
    const { columns, lines } = await numbers();
    save([columns, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n", "leaderboard.csv", "text/csv");
  };
  $("json").onclick = async () => {
    const { columns, lines } = await numbers();
    const value = (v) => (/^-?\d+(\.\d+)?$/.test(v) ? Number(v) : v || null);
    const objects = lines.map((line) => Object.fromEntries(columns.map((c, i) => [c, i === 1 || i === 2 ? line[i] : value(line[i])])));
    save(JSON.stringify(objects, null, 1) + "\n", "leaderboard.json", "application/json");
  };
  function save(text, name, type) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  if ($("axes")) { // in a large page the other drawings are packed
    $("axes").hidden = false;
    for (const holder of document.querySelectorAll(".charts > [data-part]")) {
      part(holder.dataset.part).then((made) => {
        made.firstElementChild.id = holder.dataset.part;
        holder.replaceWith(made);
      });
    }
  }
  for (const radio of document.querySelectorAll("[name=axis]")) radio.onchange = () => set({ axis: radio.value });
  $("controls").hidden = false;
  $("compare").hidden = measured.length < 2;
  state = read();
  show();
  if (state.at) $(state.at)?.scrollIntoView();
})();
