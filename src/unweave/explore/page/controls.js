// The controls of the page: what they show, and which move each of them makes.

import { words } from "./words.js";

const $ = (id) => document.getElementById(id);

// What is on the page that does not change.
export function fill(page) {
  const { info, state } = page;
  const names = info.models.map((m) => m.name).join(" · ");
  $("about").textContent = info.n
    ? `${names}, on ${info.n} observation${info.n > 1 ? "s" : ""}`
    : names;
  document.title = `${names} – unweave explore`;
  for (const id of ["on", "b"]) {
    $(id).replaceChildren(...info.observations.map((_, i) => new Option(`observation ${i}`, i)));
    if (state[id] !== null) $(id).value = state[id];
  }
  const models = info.models.map((m, i) => {
    const label = document.createElement("label");
    label.className = `c${(i % 6) + 1}`;
    label.innerHTML = '<input type="radio" name="model"><i></i><span></span>';
    label.querySelector("input").value = m.id;
    label.querySelector("input").checked = m.id === state.active;
    label.querySelector("span").textContent = m.name;
    return label;
  });
  $("models").replaceChildren(...models);
  $("models").hidden = models.length < 2;
  $("views").hidden = info.shape.at(-1) < 2 || !info.series;
  document.querySelector(`[name=view][value=${state.view}]`).checked = true;
  for (const id of ["observation-box", "ask-box"]) $(id).hidden = !info.n;
  $("between-box").hidden = info.n < 2;
  for (const id of ["previous", "next"]) $(id).disabled = info.n < 2;
  $("map-box").hidden = !page.map.possible;
  for (const word of ["strange", "explain", "attack"]) $(word).checked = state.show.has(word);
  $("share").max = info.mostShare;
  $("share").value = state.share;
  $("t").value = state.t;
  const of = info.models
    .filter((m) => !m.wrapped)
    .map((m) => new Option(`latents of ${m.name}`, m.id));
  $("map-of").replaceChildren(new Option("principal components of the data", ""), ...of);
  $("map-of").value = state.map.of;
  chooseModel(page);
}

// What depends on the model whose latents are turned.
export function chooseModel(page) {
  const { model, state } = page;
  $("told-box").hidden = !model.told.length;
  $("told").replaceChildren(
    new Option("nothing", ""),
    ...model.told.map((w, i) => new Option(w, i)),
  );
  $("told").value = state.told[model.id] ?? "";
  $("target").replaceChildren(...model.targets.map((w) => new Option(w.replace(":", " "), w)));
  $("target").value = page.target;
  $("split").hidden = model.content === null;
  $("encode").textContent = model.wrapped ? "Fit latents" : "Encode";
  page.build();
  mapAxes(page);
  shareWords(page);
}

export function mapAxes(page) {
  const of = page.models.get(page.state.map.of);
  for (const [id, k] of [
    ["map-x", "x"],
    ["map-y", "y"],
  ]) {
    $(id).parentElement.hidden = !of;
    if (!of) continue;
    $(id).replaceChildren(...of.sliders.map((s, i) => new Option(s.name, i)));
    $(id).value = page.state.map[k];
  }
}

export function shareWords(page) {
  const text = words(page.state.share * page.info.spread, page.info.spreadUnit);
  $("share-value").textContent = `± ${text}`;
  $("share").setAttribute("aria-valuetext", `plus or minus ${text}`);
  $("t-value").textContent = `${Math.round(100 * page.state.t)} %`;
  $("t").setAttribute("aria-valuetext", `${Math.round(100 * page.state.t)} percent`);
}

export function listen(page) {
  const on = (id, event, run) => $(id).addEventListener(event, run);
  on("on", "change", () => page.pick(Number($("on").value)));
  on("previous", "click", () => page.pick((page.state.on + page.info.n - 1) % page.info.n));
  on("next", "click", () => page.pick((page.state.on + 1) % page.info.n));
  on("encode", "click", () => page.encode(page.model));
  on("reset", "click", () => page.reset());
  on("sample", "click", () => page.sample());
  on("b", "change", () => page.choose({ b: Number($("b").value) }));
  on("exchange", "click", () => page.exchange());
  on("t", "input", (event) => page.between(Number($("t").value), event.timeStamp));
  on("swap-content", "click", () => page.swap(page.split(true)));
  on("swap-style", "click", () => page.swap(page.split(false)));
  on("told", "change", () => page.tell($("told").value));
  on("target", "change", () => page.aim($("target").value));
  on("share", "input", () => page.spend(Number($("share").value)));
  for (const word of ["strange", "explain", "attack"]) {
    on(word, "change", () => page.switch(word, $(word).checked));
  }
  on("models", "change", (event) => page.activate(event.target.value));
  on("views", "change", (event) => page.view(event.target.value));
  on("map-of", "change", () => page.mapOf($("map-of").value));
  for (const [id, k] of [
    ["map-x", "x"],
    ["map-y", "y"],
  ]) {
    on(id, "change", () => {
      page.state.map[k] = Number($(id).value);
      page.redrawMap();
      page.changed();
    });
  }
  on("lines-box", "toggle", () => page.lines());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.redraw());
}
