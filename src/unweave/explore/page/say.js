// What the figure shows, in words: for whoever does not see it, and for whoever wants the number.

import { extent } from "./look.js";
import { number, words } from "./words.js";

// How far each model's curve is from the observation, or its range where there is none.
export function summary(info, state, curves) {
  const parts = [];
  for (const model of info.models) {
    const answer = curves.get(model.id);
    if (!answer) continue;
    const apart = state.on === null ? null : difference(info, state.on, answer);
    const unit = new Set(info.units).size === 1 ? info.units[0] : "";
    if (apart !== null)
      parts.push(
        `${model.name} is ${words(apart, unit)} from observation ${state.on} (root mean square)`,
      );
    else {
      const [low, high] = extent(answer.x.values);
      parts.push(`${model.name} goes from ${number(low)} to ${words(high, unit)}`);
    }
  }
  return parts.length ? `${parts.join("; ")}.` : "";
}

function difference(info, on, { x, times }) {
  const observation = info.observations[on];
  const rows = observation.x;
  const width = rows[0].length;
  const at = observation.times ?? info.times;
  const same = x.values.length === rows.length * width;
  let sum = 0;
  let count = 0;
  for (let i = 0; i < rows.length; i += 1) {
    const j = same ? i : at && times ? nearest(times.values, at[i]) : null;
    if (j === null) return null;
    for (let c = 0; c < width; c += 1) {
      const [seen, made] = [rows[i][c], x.values[j * width + c]];
      if (seen !== null && Number.isFinite(seen) && Number.isFinite(made)) {
        sum += (seen - made) ** 2;
        count += 1;
      }
    }
  }
  return count ? Math.sqrt(sum / count) : null;
}

function nearest(times, t) {
  let best = 0;
  for (let j = 1; j < times.length; j += 1) {
    if (Math.abs(times[j] - t) < Math.abs(times[best] - t)) best = j;
  }
  return best;
}

function paragraph(head, text) {
  const p = document.createElement("p");
  const b = document.createElement("b");
  b.textContent = head;
  p.append(b, ` ${text}`);
  return p;
}

// The answers that are switched on, a sentence each.
export function answered(box, { strange, explain, attack }) {
  const found = [];
  if (strange) {
    const h = strange.header;
    const others =
      h.share === undefined
        ? ""
        : `, where the median of ${h.n} others is ${number(h.median, 3)}; ` +
          `${number(100 * h.share, 2)} % are as strange`;
    found.push(paragraph("Anomaly score.", `${h.name} ${words(h.value, h.unit)}${others}.`));
  }
  if (explain) {
    const h = explain.header;
    const how = h.contributions
      ? `whose sum misses by ${number(100 * h.completeness, 2)} %`
      : "slopes, not contributions";
    found.push(
      paragraph("Attribution.", `${h.target} is ${words(h.value, h.unit)}; ${h.method}, ${how}.`),
    );
  }
  if (attack) {
    const h = attack.header;
    found.push(
      paragraph(
        "Attack.",
        `${h.target} goes from ${number(h.before)} to ${words(h.after, h.unit)}` +
          `${h.budget ? ` within ${h.budget}` : ""}.`,
      ),
    );
  }
  box.replaceChildren(...found);
}
