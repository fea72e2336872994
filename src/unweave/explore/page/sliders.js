// The sliders of one model: name, unit, prior, the data's own range, a number that can be typed.

import { number, plain, words } from "./words.js";

const STEPS = 1000;
// so many are shown at first: a flow has as many latents as an observation has numbers
const MOST = 12;

const place = (s, v) => (s.logarithmic ? Math.log(v) : v);
const value = (s, p) => (s.logarithmic ? Math.exp(p) : p);

export class Sliders {
  // `turned(place, value, stamp)` is told every move, `taken(place)` that B's value is wanted.
  constructor(box, more, { turned, taken }) {
    Object.assign(this, { box, more, turned, taken });
    this.rows = new Map();
    more.addEventListener("click", () =>
      this.build(this.model, this.z, { ...this.extra, all: true }),
    );
  }

  build(model, z, extra) {
    const open = this.model === model && this.all;
    Object.assign(this, { model, z, extra, all: extra.all ?? open });
    const order = model.sliders.map((_, i) => i);
    // what carries most comes first
    if (model.nats) order.sort((i, j) => model.nats[j] - model.nats[i] || i - j);
    const shown = this.all ? order : order.slice(0, MOST);
    this.rows.clear();
    this.box.replaceChildren(...shown.map((i) => this.row(i)));
    this.more.hidden = shown.length === order.length;
    this.more.textContent = `Show all ${order.length} latents`;
  }

  row(i) {
    const s = this.model.sliders[i];
    const id = `z-${i}`;
    const row = document.createElement("div");
    row.className = "latent";
    row.innerHTML = `<div class="top"><label class="name" for="${id}"></label>
      <span class="unit"></span><span class="note"></span>
      <span class="value"><input type="number" step="any"></span></div>
      <input type="range" id="${id}"><div class="under"><span class="words"></span></div>`;
    const range = row.querySelector("[type=range]");
    const typed = row.querySelector("[type=number]");
    row.querySelector(".name").textContent = s.name;
    row.querySelector(".name").title = s.name;
    row.querySelector(".unit").textContent = s.unit;
    typed.setAttribute("aria-label", `${s.name}${s.unit ? `, in ${s.unit}` : ""}, as a number`);
    if (this.model.nats) {
      row.querySelector(".note").textContent = `${number(this.model.nats[i], 2)} nats`;
    }
    const under = row.querySelector(".words");
    under.textContent = this.describe(i);
    under.title = under.textContent;
    range.setAttribute("aria-describedby", (under.id = `${id}-about`));
    const [low, high] = this.reach(i);
    range.min = place(s, low);
    range.max = place(s, high);
    range.step = (range.max - range.min) / STEPS || "any";
    const band = this.band(i);
    const share = (v) =>
      `${100 * Math.min(1, Math.max(0, (place(s, v) - range.min) / (range.max - range.min)))}%`;
    range.style.setProperty("--from", share(band[0]));
    range.style.setProperty("--to", share(band[1]));
    range.addEventListener("input", (event) => {
      this.show(i, this.clip(i, value(s, range.valueAsNumber)), range);
      this.turned(i, this.z[i], event.timeStamp);
    });
    typed.addEventListener("change", (event) => {
      if (!Number.isFinite(typed.valueAsNumber)) typed.value = plain(this.z[i]);
      else {
        this.show(i, this.clip(i, typed.valueAsNumber), typed);
        this.turned(i, this.z[i], event.timeStamp);
      }
    });
    if (this.extra.other !== null) {
      const take = document.createElement("button");
      take.type = "button";
      take.textContent = "swap in";
      take.setAttribute("aria-label", `Swap in ${s.name} of the other observation`);
      take.addEventListener("click", () => this.taken(i));
      row.querySelector(".under").append(take);
    }
    this.rows.set(i, { range, typed });
    this.show(i, this.z[i]);
    return row;
  }

  reach(i) {
    const s = this.model.sliders[i];
    return this.extra.reach?.[i] ?? [s.low, s.high];
  }

  band(i) {
    const range = this.extra.ranges?.[i];
    // one observation has no range: what the prior leaves open is shown instead
    return range && range[0] < range[1] ? range : this.model.sliders[i].middle;
  }

  describe(i) {
    const s = this.model.sliders[i];
    const range = this.extra.ranges?.[i];
    if (!range) return `${s.prior}; 95 % marked`;
    const [low, high] = range.map((v) => number(v, 3));
    return `data ${low === high ? low : `${low} to ${high}`} · ${s.prior}`;
  }

  clip(i, v) {
    const s = this.model.sliders[i];
    return Math.min(s.most ?? Infinity, Math.max(s.least ?? -Infinity, v));
  }

  // Shows a value; the control that it came from is left as the user has it.
  show(i, v, from) {
    this.z[i] = v;
    const row = this.rows.get(i);
    if (!row) return;
    const s = this.model.sliders[i];
    if (from !== row.range) row.range.value = place(s, v);
    if (from !== row.typed) row.typed.value = plain(v);
    row.range.setAttribute("aria-valuetext", words(v, s.unit));
  }

  showAll(z) {
    z.forEach((v, i) => this.show(i, v));
  }
}
