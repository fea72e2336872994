// Pictures side by side: the observation, what an adversary made of it, and each model's own.

import { NARROW, OVER, extent, key, layout } from "./look.js";

export function pictures({ info, state, c, extra, curves, div }) {
  const [height, width, depth] = info.shape;
  const tiles = [];
  if (state.on !== null) {
    const flat = Float64Array.from(info.observations[state.on].x.flat());
    tiles.push({ name: "observation", x: { values: flat }, explain: extra.explain });
    if (extra.attack) tiles.push({ name: "attacked", x: extra.attack.x });
  }
  for (const model of info.models) {
    const answer = curves.get(model.id);
    if (answer) tiles.push({ name: model.name, x: answer.x });
  }
  const narrow = div.clientWidth < NARROW;
  const columns = Math.max(1, Math.min(tiles.length, narrow ? 2 : 4));
  const rows = Math.max(1, Math.ceil(tiles.length / columns));
  const look = layout(c, {
    showlegend: false,
    annotations: [],
    margin: { l: 8, r: 60, t: 30, b: 8 },
  });
  const limits = info.limits ?? [[0, 1]];
  const traces = tiles.flatMap((tile, k) => {
    const at = { xaxis: `x${key(k)}`, yaxis: `y${key(k)}` };
    const [i, j] = [k % columns, Math.floor(k / columns)];
    const bare = {
      showgrid: false,
      showline: false,
      ticks: "",
      showticklabels: false,
      zeroline: false,
      fixedrange: true,
    };
    look[`xaxis${key(k)}`] = {
      ...bare,
      domain: [(i + 0.03) / columns, (i + 0.97) / columns],
      anchor: at.yaxis,
      constrain: "domain",
      range: [-0.5, width - 0.5],
    };
    look[`yaxis${key(k)}`] = {
      ...bare,
      domain: [1 - (j + 0.92) / rows, 1 - j / rows],
      anchor: at.xaxis,
      scaleanchor: at.xaxis,
      constrain: "domain",
      range: [height - 0.5, -0.5],
    };
    look.annotations.push({
      text: tile.name,
      x: 0.5,
      y: 1,
      xref: `${at.xaxis} domain`,
      yref: `${at.yaxis} domain`,
      yanchor: "bottom",
      showarrow: false,
      font: { color: c.ink, size: 13 },
    });
    const pixel = (r, q, d) => tile.x.values[(r * width + q) * depth + d];
    const grid = (get) =>
      Array.from({ length: height }, (_, r) => Array.from({ length: width }, (_q, q) => get(r, q)));
    if (depth === 3) {
      const top = limits.flat().reduce((a, b) => Math.max(a, b), 1) > 1.5 ? 1 : 255;
      return [
        {
          ...at,
          type: "image",
          z: grid((r, q) => [0, 1, 2].map((d) => Math.min(255, Math.max(0, top * pixel(r, q, d))))),
          hoverinfo: "skip",
        },
      ];
    }
    const drawn = [
      {
        ...at,
        type: "heatmap",
        z: grid((r, q) => pixel(r, q, 0)),
        zmin: limits[0][0],
        zmax: limits[0][1],
        colorscale: [
          [0, "#000"],
          [1, "#fff"],
        ],
        showscale: false,
        hovertemplate: "%{z:.3g}<extra></extra>",
      },
    ];
    if (tile.explain) drawn.push(over(at, tile.explain, grid, width, depth));
    return drawn;
  });
  return { traces, places: new Map(), look };
}

function over(at, explain, grid, width, depth) {
  const values = explain.values.values;
  const most = Math.max(...extent(values).map(Math.abs), 1e-300);
  return {
    ...at,
    type: "heatmap",
    z: grid((r, q) => values[(r * width + q) * depth]),
    zmin: -most,
    zmax: most,
    colorscale: OVER,
    colorbar: { thickness: 10, len: 0.9, outlinewidth: 0, tickformat: ".2~g" },
    hovertemplate: "%{z:.3g}<extra></extra>",
  };
}
