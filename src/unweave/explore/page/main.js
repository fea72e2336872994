// The page: what the controls mean. Numbers come from the server, and the state is in the address.

import { chooseModel, fill, listen, mapAxes, shareWords } from "./controls.js";
import { DataMap } from "./map.js";
import { door } from "./door.js";
import { Exports } from "./exports.js";
import { Figure } from "./figure.js";
import { Link } from "./link.js";
import { Sliders } from "./sliders.js";
import { Address, fromAddress } from "./state.js";
import { answered, summary } from "./say.js";

const $ = (id) => document.getElementById(id);
const RESTS = 150;

class Page {
  constructor(info) {
    this.info = info;
    const { state, found } = fromAddress(info, door.fragment);
    Object.assign(this, { state, extra: {}, codes: new Map() });
    this.models = new Map(info.models.map((m) => [m.id, m]));
    this.address = new Address(info, state);
    this.figure = new Figure($("figure"), info);
    this.map = new DataMap($("map"), info, (i) => this.pick(i));
    this.sliders = new Sliders($("sliders"), $("more"), {
      turned: (i, v, stamp) => this.turn(stamp),
      taken: (i) => this.swap([i]),
    });
    this.exports = new Exports(info, () => this.exported());
    this.drawing = null;
    this.link = new Link({
      answer: (header, arrays, stamp) => this.receive(header, arrays, stamp),
      refuse: (header) => this.refuse(header),
      state: (word) => this.connected(word),
    });
    fill(this);
    listen(this);
    this.begin(found);
  }

  get model() {
    return this.models.get(this.state.active);
  }

  get target() {
    return this.state.target[this.state.active] ?? this.model.targets[0];
  }

  where(id) {
    const fields = { on: this.state.on };
    if (this.state.told[id] !== undefined) fields.told = this.state.told[id];
    return fields;
  }

  build() {
    const known = this.codes.get(this.state.active) ?? {};
    this.sliders.build(this.model, this.state.z[this.state.active], {
      ranges: known.ranges,
      reach: known.reach,
      other: this.state.b,
    });
    this.typical();
  }

  begin(found) {
    this.begun = new Set();
    this.figure.draw(this.state, this.extra);
    for (const model of this.info.models) {
      const encodes = this.state.on !== null && !found.has(model.id) && !model.slow;
      if (encodes) this.link.ask("encode", model.id, this.where(model.id));
      else this.link.ask("turn", model.id, { ...this.where(model.id), z: this.state.z[model.id] });
      if (this.info.n && !model.wrapped) this.link.ask("codes", model.id, {});
    }
    this.questions();
    this.busy();
  }

  // The moves. Each asks the server; the answer moves curve, sliders and cross.
  turn(stamp) {
    const id = this.state.active;
    this.link.ask("turn", id, { ...this.where(id), z: this.state.z[id] }, stamp);
    this.changed();
  }

  encode(model) {
    this.link.ask("encode", model.id, this.where(model.id));
    this.state.t = 0;
    $("t").value = 0;
    shareWords(this);
    this.changed();
  }

  pick(i) {
    if (this.state.on === null) return;
    this.state.on = i;
    $("on").value = i;
    this.extra = { arrows: this.extra.arrows };
    for (const model of this.info.models) {
      if (model.wrapped)
        this.link.ask("turn", model.id, { ...this.where(model.id), z: this.state.z[model.id] });
      else this.encode(model);
    }
    this.questions();
    this.redraw();
  }

  reset() {
    const id = this.state.active;
    this.state.z[id] = this.model.sliders.map((s) => s.centre);
    this.state.t = 0;
    $("t").value = 0;
    this.figure.settle();
    this.build();
    this.turn(performance.now());
    this.redraw();
  }

  sample() {
    const id = this.state.active;
    this.state.seed += 1;
    const seed = Math.floor(Math.random() * 2 ** 31);
    this.link.ask("sample", id, { ...this.where(id), seed }, performance.now());
    this.changed();
  }

  between(t, stamp) {
    const { state } = this;
    state.t = t;
    shareWords(this);
    for (const model of this.info.models) {
      if (model.wrapped && model.id !== state.active) continue;
      this.link.ask(
        "between",
        model.id,
        { ...this.where(model.id), a: state.on, b: state.b, t },
        stamp,
      );
    }
    this.changed();
  }

  exchange() {
    const { on, b } = this.state;
    this.choose({ b: on });
    this.pick(b);
  }

  choose({ b }) {
    this.state.b = b;
    $("b").value = b;
    if (this.state.t) this.between(this.state.t, performance.now());
    this.redrawMap();
    this.changed();
  }

  split(content) {
    return this.model.sliders.map((_, i) => i).filter((i) => i < this.model.content === content);
  }

  swap(places) {
    const id = this.state.active;
    const fields = { ...this.where(id), z: this.state.z[id], b: this.state.b, places };
    this.link.ask("swap", id, fields, performance.now());
    this.changed();
  }

  tell(value) {
    if (value === "") delete this.state.told[this.state.active];
    else this.state.told[this.state.active] = Number(value);
    this.turn(performance.now());
  }

  activate(id) {
    this.state.active = id;
    chooseModel(this);
    this.extra = {};
    this.questions();
    this.redraw();
  }

  view(value) {
    this.state.view = value;
    this.figure.settle();
    this.redraw();
    this.arrows();
  }

  mapOf(id) {
    this.state.map = {
      of: id,
      x: 0,
      y: Math.min(1, (this.models.get(id)?.sliders.length ?? 2) - 1),
    };
    mapAxes(this);
    this.redrawMap();
    this.changed();
  }

  // The questions that are switched on.
  switch(word, wanted) {
    if (wanted) this.state.show.add(word);
    else {
      this.state.show.delete(word);
      delete this.extra[word];
      for (const model of this.info.models) this.link.forget(word, model.id);
      this.redraw();
    }
    this.questions([word]);
  }

  aim(word) {
    this.state.target[this.state.active] = word;
    this.questions(["explain", "attack"]);
  }

  spend(share) {
    this.state.share = share;
    shareWords(this);
    this.questions(["attack"]);
  }

  questions(only = ["strange", "explain", "attack"]) {
    const { state } = this;
    const fields = {
      strange: {},
      explain: { target: this.target },
      attack: { target: this.target, share: state.share },
    };
    for (const word of only) {
      if (state.on === null || !state.show.has(word)) continue;
      this.link.ask(word, state.active, { on: state.on, ...fields[word] });
    }
    answered($("answers"), this.extra);
    this.changed();
  }

  arrows() {
    const id = this.state.active;
    if (this.state.view !== "phase" || !this.model.plane) return;
    const { xaxis: x, yaxis: y } = this.figure.ranges;
    if (x && y) this.link.ask("arrows", id, { z: this.state.z[id], box: [...x, ...y] });
  }

  // Answers.
  receive(header, arrays, stamp) {
    if (header.ask === "codes") this.learned(header, arrays);
    else if (header.ask === "arrows") this.added("arrows", { header, rates: arrays.rates });
    else if (["strange", "explain", "attack"].includes(header.ask)) {
      if (this.state.show.has(header.ask) && header.model === this.state.active) {
        this.added(header.ask, { header, ...arrays });
      }
    } else this.moved(header, arrays, stamp);
    this.busy();
  }

  moved(header, arrays, stamp) {
    const { model: id, z } = header;
    if (header.ask !== "turn") this.state.z[id].splice(0, z.length, ...z);
    if (id === this.state.active && header.ask !== "turn") this.sliders.showAll(z);
    this.map.places.set(id, header.place ?? [NaN, NaN]);
    this.scores = { ...this.scores, [id]: header.score };
    this.next = { ...this.next, [id]: { header, arrays, stamp } };
    this.work();
    this.address.changed();
  }

  // Draws the newest answer of each model; while one is drawn, newer ones take its place.
  async work() {
    if (this.drawing) return;
    this.drawing = true;
    try {
      while (this.next && Object.keys(this.next).length) {
        const batch = this.next;
        this.next = {};
        for (const [id, { header, arrays, stamp }] of Object.entries(batch)) {
          await this.drawOne(id, header, arrays, stamp);
        }
      }
    } finally {
      this.drawing = false;
    }
  }

  async drawOne(id, header, arrays, stamp) {
    const answer = { x: arrays.x, times: arrays.times };
    await this.figure.turn(id, answer);
    if (!this.begun.has(id)) {
      this.begun.add(id);
      if (this.begun.size === this.info.models.length) document.body.dataset.ready = "yes";
      this.redraw();
    }
    const drawn = performance.now();
    requestAnimationFrame(() => {
      const detail = {
        model: id,
        seq: header.seq,
        z: header.z,
        drawn: drawn - stamp,
        painted: performance.now() - stamp,
      };
      document.dispatchEvent(new CustomEvent("unweave:drawn", { detail }));
    });
    if (header.failed) this.say(header.failed, "wrong");
    this.typical();
    $("summary").textContent = summary(this.info, this.state, this.figure.curves);
    this.soon();
  }

  // What may come when the slider rests: the map, and the arrows of the plane.
  soon() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.redrawMap();
      this.arrows();
    }, RESTS);
  }

  learned(header, arrays) {
    if (!header.known) return;
    this.codes.set(header.model, { ranges: header.ranges, reach: header.reach });
    this.map.codes.set(header.model, arrays.codes);
    if (header.model === this.state.active) this.build();
    if (header.model === this.state.map.of) this.redrawMap();
  }

  added(word, value) {
    this.extra[word] = value;
    answered($("answers"), this.extra);
    this.redraw();
  }

  redraw() {
    this.figure.draw(this.state, this.extra);
    this.redrawMap();
    this.changed();
  }

  redrawMap() {
    this.map.draw(this.state);
  }

  changed() {
    this.address.changed();
    this.busy();
    this.lines();
  }

  typical() {
    const score = this.scores?.[this.state.active];
    $("typical").textContent = Number.isFinite(score) ? `${score.toFixed(1)} prior deviations` : "";
    $("typical").title = "Root mean square of the standard scores: about 1 for a draw of the prior";
  }

  exported() {
    const told = this.state.told[this.state.active];
    return { on: this.state.on, ...(told === undefined ? {} : { told }), points: this.state.z };
  }

  lines() {
    if (!$("lines-box").open) return;
    clearTimeout(this.linesTimer);
    this.linesTimer = setTimeout(async () => {
      const blob = await this.exports.fetch("reproduce.py");
      if (blob) $("lines").textContent = await blob.text();
    }, 200);
  }

  // What is going on, in words.
  busy() {
    const words_ = {
      encode: "encoding",
      codes: "encoding the data",
      between: "encoding",
      swap: "encoding",
      strange: "scoring",
      explain: "attributing",
      attack: "attacking",
    };
    const asked = this.link.pending.filter((f) => f.ask in words_);
    clearTimeout(this.busyTimer);
    if (!asked.length) {
      this.say("Ready", "");
      return;
    }
    const { ask, model } = asked[0];
    this.busyTimer = setTimeout(
      () => this.say(`${this.models.get(model).name}: ${words_[ask]} …`, "busy"),
      250,
    );
  }

  refuse(header) {
    this.busy();
    this.say(header.refused, "wrong");
  }

  connected(word) {
    if (word === "closed") this.say("No connection: is unweave explore still running?", "wrong");
    else this.busy?.();
  }

  say(text, kind) {
    if ($("status").textContent !== text) $("status").textContent = text;
    $("status").className = kind;
  }
}

new Page(await door.describe());
