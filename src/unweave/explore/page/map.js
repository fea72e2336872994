// The map of the data: every observation a point, where each model is now a cross.

import { CONFIG, aired, axis, colours, extent, layout } from "./look.js";
import { quantity } from "./words.js";

const { Plotly } = window;
const SYMBOLS = ["x", "diamond", "square", "triangle-up", "star", "circle"];

export class DataMap {
  constructor(div, info, picked) {
    Object.assign(this, { div, info, codes: new Map(), places: new Map() });
    this.picked = picked;
    this.listening = false;
  }

  get possible() {
    return this.info.places !== null;
  }

  // In which plane: the observations' own principal components, or two latents of a model.
  points(state) {
    const codes = this.codes.get(state.map.of);
    if (!codes) {
      return {
        x: this.info.places.map((p) => p[0]),
        y: this.info.places.map((p) => p[1]),
        names: ["first component", "second component"],
        here: this.places,
      };
    }
    const size = codes.shape[1];
    const model = this.info.models.find((m) => m.id === state.map.of);
    const column = (k) =>
      Array.from({ length: codes.shape[0] }, (_, i) => codes.values[i * size + k]);
    const z = state.z[state.map.of];
    const name = (k) => quantity(model.sliders[k].name, model.sliders[k].unit);
    return {
      x: column(state.map.x),
      y: column(state.map.y),
      names: [name(state.map.x), name(state.map.y)],
      here: new Map([[state.map.of, [z[state.map.x], z[state.map.y]]]]),
    };
  }

  draw(state) {
    if (!this.possible) return Promise.resolve();
    this.state = state;
    const c = colours();
    const { x, y, names, here } = this.points(state);
    const chosen = x.map((_, i) => i === state.on || i === state.b);
    const traces = [
      {
        x,
        y,
        mode: "markers",
        name: "observations",
        showlegend: false,
        hovertemplate: "observation %{pointNumber}<extra></extra>",
        marker: {
          size: chosen.map((s) => (s ? 11 : 7)),
          opacity: 0.85,
          color: x.map((_, i) => (i === state.on ? c.accent : c.data)),
          line: { width: chosen.map((s) => (s ? 2 : 0)), color: c.ink },
        },
      },
    ];
    if (state.on !== null) {
      const marks = [
        [state.on, "observation"],
        [state.b, "other"],
      ].filter(([i]) => i !== null);
      traces.push({
        x: marks.map(([i]) => x[i]),
        y: marks.map(([i]) => y[i]),
        mode: "text",
        text: marks.map(([, word]) => word),
        textposition: "bottom center",
        hoverinfo: "skip",
        textfont: { color: c.ink, size: 12 },
        showlegend: false,
        cliponaxis: false,
      });
    }
    this.first = traces.length;
    this.info.models.forEach((model, i) => {
      const p = here.get(model.id);
      traces.push({
        x: p ? [p[0]] : [],
        y: p ? [p[1]] : [],
        mode: "markers",
        name: model.name,
        hovertemplate: `${model.name}<extra></extra>`,
        showlegend: Boolean(p),
        marker: {
          symbol: SYMBOLS[i % 6],
          size: 11,
          color: c.models[i % 6],
          line: { width: 1.5, color: c.ground },
        },
      });
    });
    const shown = [...here.values()];
    const ends = (k, values) =>
      aired(
        ...extent(
          shown.map((p) => p[k]).filter(Number.isFinite),
          extent(values.filter(Number.isFinite)),
        ),
        0.14,
      );
    const look = layout(c, {
      xaxis: axis(c, names[0], { range: ends(0, x) }),
      yaxis: axis(c, names[1], { range: ends(1, y) }),
      margin: { l: 62, r: 14, t: 26, b: 44 },
    });
    return Plotly.react(this.div, traces, look, CONFIG).then(() => this.listen());
  }

  listen() {
    if (this.listening) return;
    this.listening = true;
    this.div.on("plotly_click", (event) => {
      const point = event.points.find((p) => p.curveNumber === 0);
      if (point) this.picked(point.pointNumber);
    });
  }
}
