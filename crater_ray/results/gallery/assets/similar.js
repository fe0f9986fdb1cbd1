// Which candidates look like one of them: by directions of 8-bit numbers, loaded when they are first asked for.
"use strict";

craterRay.similar = (data, options) => {
  const get = (id) => document.getElementById(id);
  const about = data.similar;
  let vectors = null;
  let loading = null;

  craterRay.vectors = (text) => {
    const bytes = atob(text);
    vectors = new Int8Array(bytes.length);
    for (let i = 0; i < bytes.length; i += 1) vectors[i] = bytes.charCodeAt(i);
  };

  function load() {
    loading ||= new Promise((resolve, reject) => {
      const script = craterRay.element("script", { src: "vectors.js" });
      script.onload = resolve;
      script.onerror = () => { loading = null; reject(new Error(`${script.src} is missing`)); };
      document.head.append(script);
    });
    return loading;
  }

  // The nearest others, [index, likeness], nearest first; likeness is the cosine of the angle.
  async function nearest(index, count) {
    await load();
    const wide = about.wide;
    const rows = vectors.length / wide;
    const dot = (a, b) => {
      let sum = 0;
      for (let i = 0; i < wide; i += 1) sum += vectors[a * wide + i] * vectors[b * wide + i];
      return sum;
    };
    const own = Math.sqrt(dot(index, index));
    if (!own) return [];
    const found = [];
    for (let other = 0; other < rows; other += 1) {
      const length = other === index ? 0 : Math.sqrt(dot(other, other));
      if (length) found.push([other, dot(index, other) / length / own]);
    }
    return found.sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, count);
  }

  let seed = -1; // what the candidates shown look like
  let found = [];

  async function show(index) {
    if (!about) { options.tell("This gallery was made without look-alikes: make it anew with --similar."); return; }
    const near = await nearest(index, 5 * data.chunk - 1).catch((problem) => { options.tell(problem.message); return []; });
    if (!near.length) { options.tell("Nothing is known of how this one looks: it has no place, or no picture."); return; }
    [seed, found] = [index, near];
    get("like-text").textContent = `What looks like ${data.keys[index]}, most alike first.`;
    get("like").hidden = false;
    options.changed(index);
  }

  function leave() {
    if (seed < 0) return;
    const index = seed;
    seed = -1;
    get("like").hidden = true;
    options.changed(index);
  }

  get("like-back").addEventListener("click", leave);
  return {
    leave,
    toggle: (index) => (index === seed ? leave() : show(index)),
    shown: () => seed >= 0,
    // Of the candidates chosen by filters those that look like the one, and itself.
    among: (chosen) => {
      const passing = new Set(chosen);
      return [seed, ...found.map(([index]) => index).filter((index) => passing.has(index))];
    },
    likeness: (index) => (seed < 0 ? undefined : found.find(([other]) => other === index)?.[1]),
  };
};
