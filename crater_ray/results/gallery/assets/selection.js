// Several candidates at once: selected by hand or folded into one card, and judged together; the last time can be undone.
"use strict";

craterRay.selection = (data, options) => {
  const get = (id) => document.getElementById(id);
  const selected = new Set();
  let before = [];

  get("selection-verdicts").append(...craterRay.verdictButtons((verdict) => judge([...selected], verdict), true));

  function show() {
    for (const card of document.querySelectorAll("#cards .card")) card.classList.toggle("selected", selected.has(Number(card.dataset.index)));
    get("selection").hidden = selected.size === 0;
    get("selection-count").textContent = `${craterRay.count(selected.size)} selected`;
  }

  function toggle(index) {
    if (!selected.delete(index)) selected.add(index);
    show();
  }

  // All of these, or none of them where all are already.
  function toggleAll(indices) {
    const all = indices.every((index) => selected.has(index));
    for (const index of indices) all ? selected.delete(index) : selected.add(index);
    show();
  }

  function clear() {
    selected.clear();
    show();
  }

  function judge(indices, verdict) {
    before = indices.map((index) => [data.keys[index], craterRay.verdict(data.keys[index])]);
    craterRay.judgeAll(indices.map((index) => [data.keys[index], verdict]));
    const word = { crater: "crater", not: "not a crater", unsure: "unsure", "": "no verdict" }[verdict];
    clear();
    get("undo-text").textContent = `${craterRay.count(indices.length)} candidates judged together: ${word}.`;
    get("undo-bar").hidden = false;
    options.judged(indices);
  }

  function undo() {
    craterRay.judgeAll(before);
    get("undo-bar").hidden = true;
    options.judged(before.map(([key]) => data.keys.indexOf(key)));
  }

  get("selection-clear").addEventListener("click", clear);
  get("undo").addEventListener("click", undo);
  return { toggle, toggleAll, clear, judge, show, size: () => selected.size, all: () => [...selected] };
};
