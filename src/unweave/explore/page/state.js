// What is shown, and how it stands in the address: numbers and identifiers, in the fragment, which
// no server sees; in a notebook the widget holds them.

import { door } from "./door.js";

const SWITCHES = ["strange", "explain", "attack"];
const QUIET = 300;

export function fresh(info) {
  const centres = Object.fromEntries(
    info.models.map((m) => [m.id, m.sliders.map((s) => s.centre)]),
  );
  return {
    on: info.n ? 0 : null,
    b: info.n > 1 ? 1 : null,
    t: 0,
    active: info.models[0].id,
    view: "time",
    z: centres,
    told: {},
    show: new Set(),
    target: {},
    share: 0.1,
    map: { of: "", x: 0, y: 1 },
    seed: 1,
  };
}

const whole = (text, n) => (/^\d{1,9}$/.test(text ?? "") && Number(text) < n ? Number(text) : null);

// The state that the address holds, over the one that a fresh page has; what does not fit is left
// out. Says which models have latents of their own there.
export function fromAddress(info, fragment) {
  const state = fresh(info);
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const found = new Set();
  if (given.has("on")) state.on = whole(given.get("on"), info.n) ?? state.on;
  if (given.has("b")) state.b = whole(given.get("b"), info.n) ?? state.b;
  const t = Number(given.get("t") ?? 0);
  if (t >= 0 && t <= 1) state.t = t;
  const share = Number(given.get("share") ?? state.share);
  if (share >= 0 && share <= info.mostShare) state.share = share;
  if (info.models.some((m) => m.id === given.get("m"))) state.active = given.get("m");
  if (given.get("view") === "phase" && info.shape.at(-1) > 1) state.view = "phase";
  for (const word of (given.get("show") ?? "").split(",")) {
    if (SWITCHES.includes(word)) state.show.add(word);
  }
  for (const model of info.models) {
    const z = (given.get(`z.${model.id}`) ?? "").split(",").map(Number);
    const fits =
      z.length === model.sliders.length &&
      z.every(
        (v, i) =>
          Number.isFinite(v) &&
          v >= (model.sliders[i].least ?? -Infinity) &&
          v <= (model.sliders[i].most ?? Infinity),
      );
    if (given.has(`z.${model.id}`) && fits) {
      state.z[model.id] = z;
      found.add(model.id);
    }
    const told = whole(given.get(`told.${model.id}`), model.told.length);
    if (told !== null) state.told[model.id] = told;
    const target = given.get(`of.${model.id}`);
    if (model.targets.includes(target)) state.target[model.id] = target;
  }
  const map = (given.get("map") ?? "").split(",");
  const of = info.models.find((m) => m.id === map[0]);
  if (of) {
    const size = of.sliders.length;
    state.map = { of: of.id, x: whole(map[1], size) ?? 0, y: whole(map[2], size) ?? 0 };
  }
  return { state, found };
}

export function toFragment(info, state) {
  const out = new URLSearchParams();
  if (state.on !== null) out.set("on", state.on);
  if (state.b !== null) out.set("b", state.b);
  if (state.t) out.set("t", state.t);
  out.set("m", state.active);
  if (state.view !== "time") out.set("view", state.view);
  if (state.show.size) out.set("show", SWITCHES.filter((s) => state.show.has(s)).join(","));
  if (state.share !== 0.1) out.set("share", state.share);
  if (state.map.of) out.set("map", [state.map.of, state.map.x, state.map.y].join(","));
  for (const model of info.models) {
    out.set(`z.${model.id}`, state.z[model.id].join(","));
    if (state.told[model.id] !== undefined) out.set(`told.${model.id}`, state.told[model.id]);
    if (state.target[model.id]) out.set(`of.${model.id}`, state.target[model.id]);
  }
  return `#${out.toString().replaceAll("%2C", ",")}`;
}

// Browsers refuse an address that changes a hundred times in half a minute.
export class Address {
  constructor(info, state) {
    this.write = () => {
      door.fragment = toFragment(info, state);
    };
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.write, QUIET);
  }
}
