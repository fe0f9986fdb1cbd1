// Candidates that repeat are folded into the first of them that is shown; none is left out for it.
"use strict";

craterRay.folds = (data, options) => {
  const get = (id) => document.getElementById(id);
  const repeats = data.repeats;
  const unfolded = new Set();
  let members = new Map(); // by the candidate that is shown, all that it stands for

  // Of the candidates chosen, those to show.
  function fold(chosen) {
    members = new Map();
    if (!repeats || !get("fold").checked) return chosen;
    const first = new Map();
    const shown = [];
    for (const index of chosen) {
      const group = repeats.of[index];
      if (group < 0 || unfolded.has(group)) { shown.push(index); continue; }
      if (!first.has(group)) { first.set(group, index); members.set(index, []); shown.push(index); }
      members.get(first.get(group)).push(index);
    }
    return shown;
  }

  function unfold(index) {
    if (!(members.get(index)?.length > 1)) return;
    unfolded.add(repeats.of[index]);
    options.changed(index);
  }

  get("fold-label").hidden = !repeats;
  get("fold").addEventListener("change", () => { unfolded.clear(); options.changed(-1); });
  return {
    fold,
    unfold,
    members: (index) => members.get(index) || [],
    nameOf: (index) => (repeats && repeats.of[index] >= 0 ? repeats.names[repeats.of[index]] : ""),
  };
};
