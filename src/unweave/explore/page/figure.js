// The observation and what each model makes of it: over time, in the phase plane, or as pictures.
// A whole drawing is a matter of what is shown; a turned slider restyles one model's curve alone.

import { arrowTraces } from "./arrows.js";
import {
  CONFIG,
  DASHES,
  NARROW,
  OVER,
  aired,
  axis,
  channel,
  colours,
  extent,
  key,
  layout,
} from "./look.js";
import { pictures } from "./pictures.js";
import { quantity } from "./words.js";

const MOST_CHANNELS = 12;
const FEW_SAMPLES = 60;
const AT_ONCE = {
  mode: "immediate",
  transition: { duration: 0 },
  frame: { duration: 0, redraw: false },
};
const { Plotly } = window;

const heading = (c, text, k) => ({
  text,
  x: 0,
  y: 1,
  xref: `x${key(k)} domain`,
  yref: `y${key(k)} domain`,
  xanchor: "left",
  yanchor: "bottom",
  showarrow: false,
  font: { color: c.ink, size: 12.5 },
});

export class Figure {
  constructor(div, info) {
    Object.assign(this, { div, info, curves: new Map(), ranges: [], shownView: null });
    this.places = new Map();
    this.ready = Promise.resolve();
  }

  get image() {
    return !this.info.series;
  }

  observation(on) {
    if (on === null) return null;
    const { x, times } = this.info.observations[on];
    return { x, times: times ?? this.info.times };
  }

  // `curves` holds the newest answer of each model; draws everything anew.
  draw(state, extra) {
    Object.assign(this, { state, extra, c: colours() });
    this.phase = state.view === "phase" && this.info.shape.at(-1) > 1 && !this.image;
    const { traces, places, look } = this.image
      ? pictures(this)
      : this.phase
        ? this.plane()
        : this.signals();
    this.places = places;
    this.ready = Plotly.react(this.div, traces, look, CONFIG);
    return this.ready;
  }

  // One model's curve alone; says when it is on the page.
  async turn(id, answer) {
    this.curves.set(id, answer);
    const places = this.places.get(id);
    if (!places || this.image) return this.draw(this.state, this.extra);
    await this.ready;
    const xs = [];
    const ys = [];
    for (const { a, b } of places.axes) {
      xs.push(a === null ? answer.times.values : channel(answer.x, a));
      ys.push(channel(answer.x, b));
    }
    const grown = this.grow();
    if (grown) this.ready = Plotly.update(this.div, { x: xs, y: ys }, grown, places.at);
    else {
      // the traces alone: restyling would lay out the whole figure anew, which takes twice as long
      const data = xs.map((x, i) => ({ x, y: ys[i] }));
      this.ready = Plotly.animate(this.div, { data, traces: places.at }, AT_ONCE);
    }
    return this.ready;
  }

  // The ranges of the axes never shrink while a slider is turned, so that a curve is seen to move;
  // null where they hold all that is shown.
  grow() {
    const axes = this.phase ? this.planeRanges() : this.signalRanges();
    const change = {};
    axes.forEach(({ name, range }) => {
      if (!range) return;
      const old = this.ranges[name];
      if (!old || range[0] < old[0] || range[1] > old[1]) {
        const wide = old ? [Math.min(old[0], range[0]), Math.max(old[1], range[1])] : range;
        this.ranges[name] = wide;
        change[`${name}.range`] = wide;
      }
    });
    return Object.keys(change).length ? change : null;
  }

  // Forgets how far the axes had to reach.
  settle() {
    this.ranges = {};
  }

  known(c) {
    const limits = this.info.limits?.[c];
    let range = limits ? [...limits] : [Infinity, -Infinity];
    for (const answer of this.curves.values()) range = extent(channel(answer.x, c), range);
    if (this.extra.attack) range = extent(channel(this.extra.attack.x, c), range);
    if (!Number.isFinite(range[0])) return null;
    const [low, high] = aired(...range);
    // no air below what is never negative: there is nothing to be seen there
    return [range[0] >= 0 && low < 0 && this.phase ? 0 : low, high];
  }

  signalRanges() {
    return this.channels().map((c, k) => ({ name: `yaxis${key(k)}`, range: this.known(c) }));
  }

  planeRanges() {
    return [
      { name: "xaxis", range: this.known(0) },
      { name: "yaxis", range: this.known(1) },
    ];
  }

  channels() {
    return Array.from({ length: Math.min(this.info.shape.at(-1), MOST_CHANNELS) }, (_, c) => c);
  }

  signals() {
    const { info, state, c } = this;
    const channels = this.channels();
    const columns = channels.length > 4 && this.div.clientWidth > NARROW ? 2 : 1;
    const rows = Math.ceil(channels.length / columns);
    const parts = this.extra.strange?.parts;
    const strip = parts ? 0.2 : 0;
    const look = layout(c, { annotations: [] });
    const traces = [];
    const places = new Map(info.models.map((m) => [m.id, { at: [], axes: [] }]));
    const observed = this.observation(state.on);
    this.grow();
    channels.forEach((ch, k) => {
      const row = k % rows;
      const column = Math.floor(k / rows);
      const height = (1 - strip) / rows;
      const top = 1 - row * height;
      const left = column / columns;
      const last = row === rows - 1 || k === channels.length - 1;
      look[`xaxis${key(k)}`] = axis(c, last && !parts ? quantity("time", info.timeUnit) : "", {
        domain: [
          left + (column ? 0.045 : 0),
          left + 1 / columns - (columns > 1 && !column ? 0.02 : 0),
        ],
        anchor: `y${key(k)}`,
        matches: k ? "x" : undefined,
        showticklabels: last && !parts,
      });
      const title = quantity(info.channels[ch], info.units[ch]);
      const band =
        rows > 1
          ? [top - height * 0.82, top - height * 0.06]
          : [top - height * (parts ? 0.9 : 1), top];
      look[`yaxis${key(k)}`] = axis(c, rows > 1 ? "" : title, {
        domain: band,
        anchor: `x${key(k)}`,
        range: this.ranges[`yaxis${key(k)}`],
        nticks: rows > 3 ? 3 : 6,
      });
      // titles of stacked panels lie above them: turned, they would be longer than the panels
      if (rows > 1) look.annotations.push(heading(c, title, k));
      traces.push(...this.channelTraces(ch, k, observed, places, traces.length));
    });
    if (parts) this.strip(traces, look, parts, channels.length, observed, strip);
    return { traces, places, look };
  }

  channelTraces(ch, k, observed, places, first) {
    const { c, info } = this;
    const on = { xaxis: `x${key(k)}`, yaxis: `y${key(k)}` };
    const traces = [];
    if (observed) {
      const dots = observed.x.length < FEW_SAMPLES;
      traces.push({
        ...on,
        x: observed.times,
        y: observed.x.map((row) => row[ch]),
        name: "observation",
        showlegend: k === 0,
        mode: dots ? "markers" : "lines",
        marker: { color: c.dot, size: 6 },
        line: { color: c.data, width: 4 },
        opacity: dots ? 1 : 0.75,
        hovertemplate: "%{y:.4g}",
      });
      const { explain, attack } = this.extra;
      if (explain) traces.unshift(this.coloured(on, k, ch, observed, explain));
      if (attack) {
        traces.push({
          ...on,
          x: observed.times,
          y: channel(attack.x, ch),
          name: "attacked",
          showlegend: k === 0,
          mode: "lines",
          line: { color: c.attack, width: 1.6, dash: "3px,2px" },
        });
      }
    }
    info.models.forEach((model, i) => {
      const answer = this.curves.get(model.id);
      const place = places.get(model.id);
      place.at.push(first + traces.length);
      place.axes.push({ a: null, b: ch });
      traces.push({
        ...on,
        x: answer?.times.values ?? [],
        y: answer ? channel(answer.x, ch) : [],
        name: model.name,
        showlegend: k === 0,
        mode: "lines",
        hovertemplate: "%{y:.4g}",
        line: { color: c.models[i % 6], width: 2.2, dash: DASHES[i % DASHES.length] },
      });
    });
    return traces;
  }

  // The ground behind the curves, coloured by what each sample has to do with the target.
  coloured(on, k, ch, observed, explain) {
    const { c } = this;
    const values = channel(explain.values, ch);
    const most = Math.max(...extent(explain.values.values).map(Math.abs), 1e-300);
    const word = explain.header.contributions ? "contribution" : "slope";
    const [low, high] = this.ranges[`yaxis${key(k)}`];
    const far = 20 * (high - low);
    return {
      ...on,
      type: "heatmap",
      x: observed.times,
      y: [low - far, high + far],
      z: [values],
      zmin: -most,
      zmax: most,
      colorscale: OVER,
      showscale: k === 0,
      hovertemplate: `${word} %{z:.3g}<extra></extra>`,
      colorbar: {
        title: {
          text: quantity(`${word} to ${explain.header.target}`, explain.header.unit),
          side: "right",
          font: { size: 12, color: c.ink },
        },
        thickness: 10,
        len: 0.9,
        outlinewidth: 0,
        tickformat: ".2~g",
        nticks: 5,
        x: 1.01,
      },
    };
  }

  strip(traces, look, parts, k, observed, height) {
    const { c } = this;
    look[`xaxis${key(k)}`] = axis(c, quantity("time", this.info.timeUnit), {
      anchor: `y${key(k)}`,
      matches: "x",
    });
    look[`yaxis${key(k)}`] = axis(c, "", {
      domain: [0, height * 0.7],
      anchor: `x${key(k)}`,
      rangemode: "tozero",
      nticks: 3,
    });
    look.annotations.push(heading(c, "score by sample", k));
    traces.push({
      x: observed.times,
      y: parts.values,
      xaxis: `x${key(k)}`,
      yaxis: `y${key(k)}`,
      name: "score by sample",
      mode: "lines",
      fill: "tozeroy",
      showlegend: false,
      fillcolor: `${c.attack}44`,
      line: { color: c.attack, width: 1.2, shape: "hvh" },
    });
  }

  plane() {
    const { info, state, c } = this;
    const places = new Map(info.models.map((m) => [m.id, { at: [], axes: [] }]));
    const traces = [];
    const arrows = this.extra.arrows;
    this.grow();
    if (arrows) traces.push(...arrowTraces(arrows, this.info, this.c));
    const observed = this.observation(state.on);
    if (observed) {
      traces.push({
        x: observed.x.map((r) => r[0]),
        y: observed.x.map((r) => r[1]),
        name: "observation",
        mode: "lines+markers",
        line: { color: c.data, width: 1 },
        marker: { color: c.dot, size: 6 },
      });
      if (this.extra.attack) {
        traces.push({
          x: channel(this.extra.attack.x, 0),
          y: channel(this.extra.attack.x, 1),
          name: "attacked",
          mode: "lines",
          line: { color: c.attack, width: 1.6, dash: "3px,2px" },
        });
      }
    }
    info.models.forEach((model, i) => {
      const answer = this.curves.get(model.id);
      places.get(model.id).at.push(traces.length);
      places.get(model.id).axes.push({ a: 0, b: 1 });
      traces.push({
        x: answer ? channel(answer.x, 0) : [],
        y: answer ? channel(answer.x, 1) : [],
        name: model.name,
        mode: "lines",
        line: { color: c.models[i % 6], width: 2.4, dash: DASHES[i % DASHES.length] },
      });
    });
    const look = layout(c, {
      xaxis: axis(c, quantity(info.channels[0], info.units[0]), { range: this.ranges.xaxis }),
      yaxis: axis(c, quantity(info.channels[1], info.units[1]), { range: this.ranges.yaxis }),
    });
    return { traces, places, look };
  }
}
