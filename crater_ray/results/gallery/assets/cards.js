// Cards: one candidate each, with its crop, mark, scale, score, names and verdict.
"use strict";

craterRay.VERDICTS = [["crater", "\u2713 crater"], ["not", "\u2715 not"], ["unsure", "? unsure"]];
craterRay.RING = 18; // px of the image: the evidence lies within

craterRay.verdictButtons = (give, tabbable) => craterRay.VERDICTS.map(([value, label]) => {
  const button = craterRay.element("button", { type: "button", textContent: label, tabIndex: tabbable ? 0 : -1 });
  button.dataset.v = value;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", (event) => { event.stopPropagation(); give(value); });
  return button;
});

craterRay.showVerdict = (holder, verdict) => {
  for (const button of holder.querySelectorAll("[data-v]")) button.setAttribute("aria-pressed", String(button.dataset.v === verdict));
};

craterRay.crop = (details, stretched) => {
  const { crop, columns } = craterRay.data();
  const zoom = 192 / crop;
  const holder = craterRay.element("div", { className: "crop" });
  if (details.problem) {
    holder.append(craterRay.element("div", { className: "absent", textContent: `No picture: ${details.problem}` }));
    return holder;
  }
  const pixels = craterRay.element("div", { className: "pixels" });
  const [row, column] = [Math.floor(details.place / columns), details.place % columns];
  pixels.style.backgroundImage = `url("${details.sprite}")`;
  pixels.style.backgroundSize = `${crop * columns * zoom}px auto`;
  pixels.style.backgroundPosition = `${-column * crop * zoom}px ${-row * crop * zoom}px`;
  if (stretched) pixels.style.filter = craterRay.stretch(details.low, details.high);
  holder.append(pixels);
  const scale = crop / details.side;
  if (details.x !== undefined) {
    const ring = craterRay.element("div", { className: "ring" });
    ring.style.left = `${(details.x + 0.5 - details.left) * scale * zoom}px`;
    ring.style.top = `${(details.y + 0.5 - details.top) * scale * zoom}px`;
    ring.style.width = ring.style.height = `${2 * craterRay.RING * scale * zoom}px`;
    holder.append(ring);
  }
  const bar = craterRay.element("div", { className: "scale" });
  craterRay.drawScale(bar, 192, scale * zoom, craterRay.nm(details));
  holder.append(bar);
  return holder;
};

craterRay.card = (index, details, options) => {
  const data = craterRay.data();
  const [key, score] = [data.keys[index], data.scores[index]];
  const card = craterRay.element("article", { className: "card", tabIndex: -1 });
  card.dataset.index = index;
  const crop = craterRay.crop(details, options.stretched);
  const at = details.x === undefined ? "without a place" : `at ${details.x.toFixed(0)}, ${details.y.toFixed(0)}`;
  crop.setAttribute("role", "img");
  crop.setAttribute("aria-label", `Crop of ${key} ${at}`);
  crop.addEventListener("click", (event) => (event.shiftKey || event.ctrlKey || event.metaKey ? options.select(index) : options.open(index)));
  const likeness = options.similar.likeness(index);
  const about = [likeness === undefined ? "" : `alike ${likeness.toFixed(2)}`, data.groupOf(index), details.note, craterRay.diameter(details), [data.foilOf(index), details.frame].filter((v) => v || v === 0).join(" "), details.VMcode];
  const line = craterRay.element("div", { className: "about", textContent: about.filter(Boolean).join(" · ") });
  if (details.flags) line.append(" ", craterRay.element("span", { className: "flag", textContent: details.flags.replaceAll("_", " ") }));
  const verdicts = craterRay.element("div", { className: "verdicts" }, ...craterRay.verdictButtons((v) => options.give(index, v), false));
  const [folded, repeats] = [options.folds.members(index).length, options.folds.nameOf(index)];
  if (folded > 1) {
    const fold = craterRay.element("button", { type: "button", className: "fold", tabIndex: -1, textContent: `${folded} folded: ${repeats}` });
    fold.addEventListener("click", () => options.folds.unfold(index));
    line.append(" ", fold);
  } else if (repeats) line.append(" ", craterRay.element("span", { className: "flag", textContent: repeats }));
  card.append(
    crop,
    craterRay.element("div", { className: "line" },
      craterRay.element("span", { className: "score", textContent: craterRay.score(score) }),
      craterRay.element("span", { className: "about", textContent: details.x === undefined ? "no place" : `${details.x.toFixed(0)}, ${details.y.toFixed(0)} px` })),
    craterRay.element("div", { className: "name", textContent: key, title: key }),
    line,
    verdicts,
  );
  craterRay.markCard(card, key, score);
  return card;
};

craterRay.markCard = (card, key, score) => {
  const verdict = craterRay.verdict(key);
  card.dataset.verdict = verdict;
  card.setAttribute("aria-label", `${key}, score ${craterRay.score(score)}, ${verdict || "not judged"}`);
  craterRay.showVerdict(card, verdict);
};
