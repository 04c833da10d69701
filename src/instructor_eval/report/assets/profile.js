// Which rows the drawing of task types shows, at most five, each in a lane of its own. report.js keeps them in the hash.
"use strict";
function makeProfile(setRows) {
  const drawing = document.querySelector("#profile svg");
  if (!drawing) return { apply() {} };
  const list = document.getElementById("profile-rows");
  const lane = Number(drawing.dataset.lane), most = Number(drawing.dataset.lanes);
  const series = [...drawing.querySelectorAll("g[data-p]")];
  const usual = series.filter((g) => g.dataset.c).sort((a, b) => a.dataset.c - b.dataset.c).map((g) => g.dataset.p);
  const legend = document.querySelector("#profile ul");
  const boxes = series.map((g) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox" });
    const label = document.createElement("label");
    label.append(box, ` ${g.dataset.name}`);
    list.append(label);
    box.onchange = () => {
      const chosen = shown.filter((id) => id !== g.dataset.p).concat(box.checked ? [g.dataset.p] : []);
      if (chosen.length) setRows(chosen.join(","));
      else box.checked = true;
    };
    return box;
  });
  list.parentElement.hidden = false;
  let shown = usual;
  function apply(text) {
    const known = (text ?? "").split(",").filter((id) => series.some((g) => g.dataset.p === id));
    shown = known.length ? [...new Set(known)].slice(0, most) : usual;
    legend.replaceChildren(...shown.map((id, place) => {
      const item = document.createElement("li");
      item.className = `p${place}`;
      item.append(document.createElement("i"), ` ${series.find((g) => g.dataset.p === id).dataset.name}`);
      return item;
    }));
    series.forEach((g, i) => {
      const place = shown.indexOf(g.dataset.p);
      boxes[i].checked = place >= 0;
      boxes[i].disabled = place < 0 && shown.length >= most;
      g.setAttribute("class", place < 0 ? "gone" : `p${place}`);
      g.setAttribute("transform", `translate(0 ${lane * Math.max(place, 0)})`);
    });
  }
  return { apply };
}
