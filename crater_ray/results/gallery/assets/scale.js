// Lengths and numbers as people read them.
"use strict";

// A round length of at most a share of what is visible: its label and its width on the screen.
craterRay.scaleBar = (screenWidth, screenPerPixel, nm) => {
  const most = (0.3 * screenWidth) / screenPerPixel * (nm || 1);
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((step) => step * power).find((value) => value <= most) || power;
  let label = `${length} px`;
  if (nm) label = length >= 1000 ? `${length / 1000} µm` : `${length} nm`;
  return { label, width: length / (nm || 1) * screenPerPixel };
};

craterRay.drawScale = (element, screenWidth, screenPerPixel, nm) => {
  const { label, width } = craterRay.scaleBar(screenWidth, screenPerPixel, nm);
  element.textContent = label;
  element.style.width = `${width}px`;
};

craterRay.score = (value) => {
  if (value === null || value === undefined) return "none";
  return value > 0 && value < 0.001 ? value.toExponential(1) : value.toFixed(4);
};

craterRay.count = (value) => value.toLocaleString("en");

craterRay.element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// Shows gray levels low..high as black..white; works on pictures from disk, whose pixels a page may not read.
craterRay.stretch = (low, high) => {
  const [a, b] = [low / 255, high / 255];
  return `brightness(${1 / (a + b)}) contrast(${(a + b) / (b - a)})`;
};

// Width of a pixel: as told for the whole gallery, else as the microscope says of this image.
craterRay.nm = (details) => craterRay.data().pixel_nm || details.pixel_nm;

craterRay.diameter = (details) => {
  const nm = craterRay.nm(details);
  if (!details.diameter) return "";
  return `\u2300 ${details.diameter.toFixed(0)} px${nm ? ` (${(details.diameter * nm).toPrecision(2) * 1} nm)` : ""}`;
};
