// The histogram of all scores of the run; what lies at or above the threshold stands out.
"use strict";

craterRay.chart = (figure, distribution) => {
  const [width, height, left, bottom, top] = [640, 200, 44, 30, 24];
  const bins = distribution.bins;
  const most = Math.max(1, ...bins);
  const place = (score) => {
    const p = Math.min(Math.max(score, 1e-4), 1 - 1e-4);
    return (Math.log(p / (1 - p)) / Math.log((1 - 1e-4) / 1e-4) + 1) / 2;
  };
  const x = (at) => left + at * (width - left - 8);
  const y = (count) => height - bottom - (count ? (Math.log10(count) + 0.25) / (Math.log10(most) + 0.25) : 0) * (height - bottom - top);
  const make = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const bars = bins.map((count, i) => {
    const bar = make("rect", {
      class: "bar", x: x(i / bins.length) + 0.5, width: (width - left - 8) / bins.length - 1, y: y(count), height: height - bottom - y(count),
    });
    bar.append(make("title", {}, `${craterRay.count(count)} images`));
    return bar;
  });
  svg.append(...bars);
  for (const tick of [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]) {
    svg.append(make("line", { class: "axis", x1: x(place(tick)), x2: x(place(tick)), y1: height - bottom, y2: height - bottom + 5 }));
    svg.append(make("text", { x: x(place(tick)), y: height - 12, "text-anchor": "middle" }, String(tick)));
  }
  for (let count = 1; count <= most; count *= 10) {
    svg.append(make("text", { x: left - 6, y: y(count) + 4, "text-anchor": "end" }, craterRay.count(count)));
  }
  svg.append(make("line", { class: "axis", x1: left, x2: width - 8, y1: height - bottom, y2: height - bottom }));
  svg.append(make("text", { x: width - 8, y: height - 1, "text-anchor": "end" }, "score"));
  svg.append(make("text", { x: 0, y: 10 }, "images"));
  const cut = make("line", { class: "cut", y1: 2, y2: height - bottom });
  svg.append(cut);
  figure.replaceChildren(svg);
  return (threshold, reached) => {
    const at = x(threshold <= 0 ? 0 : place(threshold));
    cut.setAttribute("x1", at);
    cut.setAttribute("x2", at);
    bars.forEach((bar, i) => bar.classList.toggle("hot", (i + 0.5) / bins.length >= (threshold <= 0 ? 0 : place(threshold))));
    svg.setAttribute("aria-label", `Histogram of scores; ${craterRay.count(reached)} images score ${threshold} or more.`);
  };
};
