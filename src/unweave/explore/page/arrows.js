// The phase plane of an equation of two states: where the state would go from each place, and where
// one of the two stands still.

// an arrow for every second point of the grid
const ARROWS = 2;

export function arrowTraces({ header, rates }, info, c) {
  const [x0, x1, y0, y1] = header.box;
  const side = rates.shape[1];
  const at = (k, i, j) => rates.values[(k * side + j) * side + i];
  const xs = Array.from({ length: side }, (_, i) => x0 + ((x1 - x0) * i) / (side - 1));
  const ys = Array.from({ length: side }, (_, j) => y0 + ((y1 - y0) * j) / (side - 1));
  const lines = { x: [], y: [] };
  const long = (1.5 * ARROWS) / (side - 1) / 2;
  for (let j = 1; j < side; j += ARROWS) {
    for (let i = 1; i < side; i += ARROWS) {
      const u = at(0, i, j) / (x1 - x0);
      const v = at(1, i, j) / (y1 - y0);
      const size = Math.hypot(u, v);
      if (!(size > 0)) continue;
      const [du, dv] = [(long * u) / size, (long * v) / size];
      const head = (p, q) => [xs[i] + (x1 - x0) * p, ys[j] + (y1 - y0) * q];
      const points = [
        head(-du / 2, -dv / 2),
        head(du / 2, dv / 2),
        [null, null],
        head(du / 2 - 0.3 * du - 0.12 * dv, dv / 2 - 0.3 * dv + 0.12 * du),
        head(du / 2, dv / 2),
        head(du / 2 - 0.3 * du + 0.12 * dv, dv / 2 - 0.3 * dv - 0.12 * du),
        [null, null],
      ];
      for (const [x, y] of points) {
        lines.x.push(x);
        lines.y.push(y);
      }
    }
  }
  const still = (k, dash) => ({
    type: "contour",
    x: xs,
    y: ys,
    z: ys.map((_, j) => xs.map((_x, i) => at(k, i, j))),
    showscale: false,
    hoverinfo: "skip",
    contours: { start: 0, end: 0, size: 1, coloring: "lines" },
    showlegend: true,
    name: `${info.channels[k]} stands still`,
    colorscale: [
      [0, c.muted],
      [1, c.muted],
    ],
    line: { width: 1.6, dash, color: c.muted },
  });
  return [
    {
      ...lines,
      mode: "lines",
      line: { color: c.rule, width: 1 },
      hoverinfo: "skip",
      showlegend: false,
    },
    still(0, "solid"),
    still(1, "dash"),
  ];
}
