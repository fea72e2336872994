// The look of every plot: colours from the style sheet, so that light and dark are one set of names.

export const DASHES = ["solid", "7px,3px", "2px,2px", "7px,3px,2px,3px", "10px,4px", "1px,2px"];
export const CONFIG = {
  displayModeBar: false,
  responsive: true,
  scrollZoom: false,
  doubleClick: false,
};
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ground", "ink", "muted", "grid", "rule", "data", "dot", "accent", "attack"];
  const found = Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  found.models = [1, 2, 3, 4, 5, 6].map((i) => style.getPropertyValue(`--m${i}`).trim());
  return found;
}

export function layout(c, more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    dragmode: false,
    font: { family: "system-ui, sans-serif", size: 12.5, color: c.muted },
    margin: { l: 62, r: 14, t: 34, b: 44 },
    hovermode: "closest",
    showlegend: true,
    legend: {
      orientation: "h",
      x: 0,
      y: 1.02,
      yanchor: "bottom",
      font: { color: c.ink, size: 12.5 },
      itemclick: false,
      itemdoubleclick: false,
      bgcolor: "rgba(0,0,0,0)",
    },
    hoverlabel: { bgcolor: c.ground, bordercolor: c.rule, font: { color: c.ink } },
    ...more,
  };
}

export function axis(c, title, more) {
  return {
    title: { text: title, font: { color: c.ink, size: 12.5 }, standoff: 8 },
    gridcolor: c.grid,
    zeroline: false,
    linecolor: c.rule,
    showline: true,
    ticks: "outside",
    ticklen: 4,
    tickcolor: c.rule,
    fixedrange: true,
    automargin: true,
    ...more,
  };
}

// The ends of an axis with some air.
export function aired(low, high, share = 0.07) {
  const air = share * (high - low) || 0.5 * Math.abs(high) || 1;
  return [low - air, high + air];
}

export function extent(values, range = [Infinity, -Infinity]) {
  let [low, high] = range;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

// Below so many pixels a figure has fewer columns.
export const NARROW = 560;
// blue through nothing to orange, over what lies beneath
export const OVER = [
  [0, "rgba(29,111,182,0.75)"],
  [0.5, "rgba(142,139,140,0)"],
  [1, "rgba(224,108,35,0.75)"],
];

// How plotly.js counts axes.
export const key = (k) => (k ? String(k + 1) : "");

// One channel of an array.
export const channel = (array, c) => {
  const step = array.shape.at(-1);
  const out = new Float64Array(array.values.length / step);
  for (let i = 0; i < out.length; i += 1) out[i] = array.values[i * step + c];
  return out;
};
