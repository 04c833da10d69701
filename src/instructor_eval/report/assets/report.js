// Sorts, filters, opens and copies what the templates wrote. Its state is the URL's hash: a link shows what one saw.
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
  const tableFilters = makeFilters(table, FIXED, names, (hide) => set({ hide }));
  const filters = tableFilters.fields;
  const profile = makeProfile((rows) => set({ profile: rows }));
  let state = {};
  const usual = {}; // the two rows that are compared unasked
  let arranged = ""; // the sort and filters that the table shows

  // --- what is packed: the board's numbers, in a large page the parts too
  let unpacking = null;
  const packed = () => (unpacking ??= unpack($("packed").textContent));
  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const found = JSON.parse(await new Response(stream).text());
    const parts = {}; // from columns to pieces, see report/pack.py
    const filled = (texts) => { texts.forEach((text, i) => (texts[i] = text || texts[i - 1])); return texts; };
    for (const { keys, places } of found.parts) {
      const columns = places.map((place) => (Array.isArray(place) ? filled(place[0].split("\x7f")) : place));
      keys.split("\x7f").forEach((key, i) => (parts[key] = () => columns.map((c) => (Array.isArray(c) ? c[i] : c)).join("")));
    }
    return { ...found, parts, values: found.values.map((column) => column.split("\x7f")) };
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
    } catch { // not allowed: leave it selected
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
  const unfold = (target) => { // what lies in closed details
    for (let holder = target?.closest("details"); holder; holder = holder.parentElement.closest("details")) holder.open = true;
  };
  const read = () => (section(location.hash) ? {} : Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
  function set(changes) {
    state = Object.fromEntries(Object.entries({ ...state, ...changes }).filter(([, value]) => value));
    const text = new URLSearchParams(state).toString();
    const how = changes.open || changes.at ? "pushState" : "replaceState"; // Back closes a panel, and undoes a jump
    history[how](null, "", text ? `#${text}` : location.pathname + location.search);
    show();
  }
  function show() {
    for (const name of filters) {
      const field = $(name);
      if (!field) continue;
      if (field.type === "checkbox") field.checked = state[name] !== "off";
      else if (field !== document.activeElement || field.value !== (state[name] ?? "")) field.value = state[name] ?? "";
    }
    const wanted = JSON.stringify([state.sort, state.dir, state.hide, ...filters.map((name) => state[name])]);
    if (wanted !== arranged) {
      arranged = wanted;
      filter();
      sort();
    }
    const axis = document.querySelector(`[name=axis][value="${CSS.escape(state.axis ?? "")}"]`);
    if (axis) axis.checked = true;
    profile.apply(state.profile);
    openCell(state.open);
    for (const id of ["a", "b"]) $(id).value = $(`r-${state[id]}`) ? state[id] : usual[id];
    compare();
  }
  addEventListener("hashchange", () => {
    if (section(location.hash)) return goTo();
    state = read();
    show();
    goTo(state.at);
  });
  function goTo(id) {
    const target = id ? $(id) : section(location.hash);
    unfold(target);
    target?.scrollIntoView();
  }
  // Links inside the page scroll, and leave the state in the hash alone.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    const target = link && section(link.hash);
    if (!target) return;
    event.preventDefault();
    if ($("panel").open) set({ open: "" });
    if (target === table && first) return first.focus();
    unfold(target);
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
    set({ at: target.id });
  });

  // --- sorting: a line moves with what stands below it, and among its like; filtered lines have no tree
  for (const [place, th] of heads.entries()) {
    const button = make("button", { type: "button", className: "sort", textContent: "↕" });
    button.setAttribute("aria-label", `Sort by ${names[place]}`);
    button.onclick = () => {
      const [first, second] = place < FIXED ? ["asc", "desc"] : ["desc", "asc"];
      const now = state.sort === names[place] ? state.dir : "";
      if (now === second) set({ sort: "", dir: "" });
      else set({ sort: names[place], dir: now === first ? second : first });
    };
    th.append(button);
    th.setAttribute("aria-sort", "none");
  }
  const level = (row) => Number(row.dataset.l);
  function sort() {
    const place = names.indexOf(state.sort);
    const sign = state.dir === "asc" ? 1 : -1;
    heads.forEach((th, i) => {
      const order = i === place ? (sign > 0 ? "ascending" : "descending") : "none";
      th.setAttribute("aria-sort", order);
      th.querySelector(".sort").textContent = { none: "↕", ascending: "▲", descending: "▼" }[order];
    });
    const value = (row) => {
      const text = row.cells[place].textContent.trim();
      return place === 1 || place >= FIXED ? parseFloat(text.replace(/^[▲▼] /, "")) : text;
    };
    // Whole means stand before incomplete ones, and before what has no value.
    const rank = (row) => (["", NaN].includes(value(row)) ? 2 : Number(row.cells[place].className === "o"));
    const by = (one, other) => {
      const [x, y] = [value(one), value(other)];
      return rank(one) - rank(other) || sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || 0;
    };
    const arrange = (list, depth) => {
      const groups = [];
      for (const row of list) if (level(row) === depth) groups.push([row]); else groups.at(-1).push(row);
      return groups.sort(([one], [other]) => by(one, other)).flatMap(([head, ...rest]) => [head, ...arrange(rest, depth + 1)]);
    };
    const flat = place >= 0 && rows.some((row) => row.hidden);
    const ordered = place < 0 ? rows : flat ? [...rows].sort(by) : arrange(rows, 0);
    body.append(...ordered);
    const above = []; // a line that has lost its model says whose it is
    for (const row of rows) {
      above.length = level(row);
      row.classList.toggle("orphan", level(row) > 0 && (flat || above.some((other) => other.hidden)));
      above.push(row);
    }
  }

  // --- filtering: which rows and columns are shown says filters.js
  for (const name of filters) {
    const field = $(name);
    const changed = () => set({ [name]: field.type === "checkbox" ? (field.checked ? "" : "off") : field.value });
    if (field) field.oninput = field.onchange = changed;
  }
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("reset").onclick = () => set({ ...Object.fromEntries(filters.map((f) => [f, ""])), hide: "", sort: "", dir: "" });
  $("link").onclick = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      $("link").textContent = "Copied";
    } catch { $("link").textContent = "See the address bar"; }
    setTimeout(() => ($("link").textContent = "Copy link"), 2000);
  };
  function filter() {
    tableFilters.apply(state);
    const reached = body.querySelector('td > button[tabindex="0"]');
    if (reached && !reached.offsetParent) {
      reached.tabIndex = -1;
      const next = [...body.querySelectorAll("td > button")].find((button) => button.offsetParent);
      if (next) next.tabIndex = 0;
    }
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
    let [line, place] = [cell.parentElement.sectionRowIndex, cell.cellIndex];
    let button = null;
    do { // over empty and hidden cells
      line += step[0];
      place += step[1];
      button = body.rows[line]?.cells[place]?.querySelector("button");
    } while (body.rows[line]?.cells[place] && !button?.offsetParent);
    if (!button) return;
    event.preventDefault();
    event.target.closest("button").tabIndex = -1;
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
    if (opened !== name) return; // closed meanwhile
    const plain = `${row.cells[0].textContent} · ${names[place]}: ${row.cells[place].textContent}, ${row.dataset.side.split(":")[0]}: measured by others, see the notes below the table`;
    $("panel-body").replaceChildren(found ?? make("p", { textContent: plain }));
    $("panel-title").textContent = `Behind the score: ${row.cells[0].textContent}, ${names[place]}`;
    if (!panel.open) panel.showModal();
    panel.scrollTop = 0;
  }
  panel.addEventListener("close", () => {
    const cut = (state.open ?? "").indexOf("/");
    const cell = cut > 0 && $(`r-${state.open.slice(0, cut)}`)?.cells[names.indexOf(state.open.slice(cut + 1))];
    set({ open: "" });
    cell?.querySelector("button")?.focus();
  });
  panel.addEventListener("pointerdown", (event) => { // on what lies around it
    const box = panel.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (event.target === panel && !inside) panel.close();
  });

  // --- parts that wait in closed details
  document.addEventListener("toggle", async (event) => {
    for (const holder of event.target.querySelectorAll?.("[data-part]") ?? []) {
      holder.replaceWith((await part(holder.dataset.part)) ?? "");
    }
  }, true);

  // --- two rows beside each other
    for (const [place, id] of ["a", "b"].entries()) {
    const select = $(id);
    for (const row of rows) select.add(new Option(row.dataset.side, row.id.slice(2)));
    usual[id] = (place === 0 && select.dataset.first) || rows.map((row) => row.id.slice(2))
      .filter((name) => name !== usual.a)[0] || "";
    select.onchange = () => set({ a: $("a").value, b: $("b").value });
  }
  let compared = "";
  async function compare() {
    const [a, b] = [$(`r-${$("a").value}`), $(`r-${$("b").value}`)];
    if (!a || !b || compared === a.id + b.id) return;
    compared = a.id + b.id;
    if (a === b) return $("pair").replaceChildren(make("p", { textContent: "Choose two different rows." }));
    const there = await part(`p-${b.dataset.r}-${a.dataset.r}`);
    const made = there ?? (await part(`p-${a.dataset.r}-${b.dataset.r}`));
    const data = await packed();
    const where = data.results === "results" ? "" : ` --results ${quoted(data.results)}`;
    const command = make("pre", { className: "cmd", tabIndex: 0 },
      make("code", { textContent: `evaluate compare${where} ${quoted(a.dataset.side)} ${quoted(b.dataset.side)}` }));
    const published = [a, b].some((row) => row.dataset.k === "published");
    const why = there ? "there" : made ? "turned" : published ? "published" : "bare";
    const note = $("pair-notes").content.querySelector(`[data-why=${why}]`).cloneNode(true);
    $("pair").replaceChildren(made ?? forest(a, b, data), note, command);
    copyButtons($("pair"));
  }
  const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
  function forest(a, b, data) {
    const score = (row, column) => parseFloat(data.values[column][row.dataset.r]);
    const lines = data.tasks.map((c) => ({ name: data.columns[c], a: score(a, c), b: score(b, c), d: score(b, c) - score(a, c) }))
      .filter((line) => Number.isFinite(line.d));
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
      const svg = $("plot").content.cloneNode(true);
      svg.querySelector("path").setAttribute("d", `M${at(0)} 0v14`);
      svg.querySelector("circle").setAttribute("cx", at(line.d));
      row.append(make("td", { className: "plot" }, svg));
    }
    return found;
  }

  // --- downloads: as `evaluate leaderboard --format csv`
  const inert = (text) => (/^[=+\-@]/.test(text) && isNaN(text.replace(/[,%]/g, "")) ? "'" : "") + text; // no formula
  const field = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (text) => field(inert(text));
  const line = (values, i) => values.map((column) => column[i]);
  $("csv").onclick = async () => {
    const { columns, values } = await packed();
    const lines = [columns, ...rows.map((_, i) => line(values, i))].map((texts) => texts.map(cell).join(","));
    save(lines.join("\n") + "\n", "leaderboard.csv", "text/csv");
  };
  $("json").onclick = async () => {
    const { columns, values } = await packed();
    const value = (v) => (v !== "" && Number.isFinite(Number(v)) ? Number(v) : v || null);
    const fields = (column, text) => { // a mean over some of its tasks in two fields
      const cut = /^(-?[\d.]+)\*? \((\d+\/\d+)\)$/.exec(text);
      return cut ? [[column, Number(cut[1])], [`${column}_coverage`, cut[2]]] : [[column, value(text)]];
    };
    const objects = rows.map((_, i) => Object.fromEntries(line(values, i).flatMap(
      (text, k) => (k === 1 || k === 2 ? [[columns[k], text]] : fields(columns[k], text)))));
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
        tableFilters.apply(state);
      });
    }
  }
  for (const radio of document.querySelectorAll("[name=axis]")) radio.onchange = () => set({ axis: radio.value });
  $("controls").hidden = false;
  $("compare").hidden = rows.length < 2;
  if ($("tasklist") && matchMedia("(max-width: 640px)").matches) $("tasklist").open = rows.length < 2;
  state = read();
  show();
  if (state.at || section(location.hash)) goTo(state.at);
})();
