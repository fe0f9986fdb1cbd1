// Blanks and craters that are to be expected from the threshold on, in the run and in the chosen foil.
"use strict";

craterRay.expected = (holder, expected, place, foil) => {
  const number = (value) => (value >= 9.95 ? craterRay.count(Math.round(value)) : value.toFixed(value >= 0.095 || value === 0 ? 1 : 2));
  const words = ([value, low, high]) => `${number(value)} (${number(low)}–${number(high)})`;
  const about = (curve, where) => {
    const blanks = `${words(curve.blanks[place])} blanks${curve.counted ? " (all that nobody marked as a crater)" : ""}`;
    const craters = curve.craters ? `${words(curve.craters[place])} craters` : "craters not known";
    return `Expected${where}: ${blanks}, ${craters}`;
  };
  holder.hidden = !expected;
  if (!expected) return;
  const lines = [about(expected.run, "")];
  const one = Object.hasOwn(expected.foils, foil) ? expected.foils[foil] : null;
  if (one) lines.push(`${about(one, ` on ${foil}`)}; ${craterRay.count(one.images[place])} images`);
  holder.replaceChildren(...lines.map((textContent) => craterRay.element("span", { textContent })));
  holder.title = "With 95% intervals. docs/completeness.md says how they come about.";
};
