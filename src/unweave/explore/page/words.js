// Numbers and quantities as they are read.

// As it is typed.
export function plain(v, digits = 4) {
  if (v === null || !Number.isFinite(v)) return "–";
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size >= 1e6 || size < 1e-4) return v.toExponential(digits - 2);
  return String(Number(v.toPrecision(digits)));
}

// As it is read, with a true minus.
export function number(v, digits) {
  return plain(v, digits).replace(/-/g, "−");
}

export function words(v, unit) {
  return unit ? `${number(v)} ${unit}` : number(v);
}

export function quantity(name, unit) {
  return unit ? `${name} (${unit})` : name;
}
