// What is known: the run's summary, details that are loaded chunk by chunk, and the verdicts given in this browser.
"use strict";

var craterRay = (() => {
  const chunks = new Map();
  const loading = new Map();
  let data = null;
  let reviewer = "";
  let verdicts = new Map();
  let keeps = true;

  function summary(content) {
    data = content;
    const foil = data.foil, group = data.group;
    data.foilOf = (i) => (foil && foil.of[i] >= 0 ? foil.names[foil.of[i]] : "");
    data.groupOf = (i) => (group && group.of[i] >= 0 ? group.names[group.of[i]] : "");
    read();
    craterRay.start(data);
  }

  function chunk(number, rows) {
    chunks.set(number, rows);
  }

  function number4(number) {
    return String(number).padStart(4, "0");
  }

  // Pages opened from disk may not fetch data, but they may load scripts.
  function load(number) {
    if (!loading.has(number)) {
      loading.set(number, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${number4(number)}.js`;
        script.onload = () => { script.remove(); resolve(); };
        script.onerror = () => { loading.delete(number); reject(new Error(`${script.src} is missing`)); };
        document.head.append(script);
      }));
    }
    return loading.get(number);
  }

  async function details(index) {
    const number = Math.floor(index / data.chunk);
    await load(number);
    const place = index % data.chunk;
    const file = `${number4(number)}/${String(place).padStart(2, "0")}.jpg`;
    return { ...chunks.get(number)[place], place, sprite: `sprites/${number4(number)}.jpg`, whole: `images/${file}` };
  }

  const slot = () => `crater-ray/${data.facts.run_id}`;

  function read() {
    let stored = null;
    try {
      stored = JSON.parse(localStorage.getItem(slot()));
    } catch {
      keeps = false;
    }
    if (stored) {
      reviewer = stored.reviewer || "";
      verdicts = new Map(stored.verdicts.map(([key, verdict, when]) => [key, { verdict, when }]));
    }
  }

  function write() {
    const entries = [...verdicts].map(([key, { verdict, when }]) => [key, verdict, when]);
    try {
      localStorage.setItem(slot(), JSON.stringify({ reviewer, verdicts: entries }));
      keeps = true;
    } catch {
      keeps = false;
    }
  }

  function judgeAll(said) {
    if (keeps) read(); // another window of the same gallery may have added some
    // A verdict taken back is kept as an empty one, so that a file saved later takes it back as well.
    for (const [key, verdict] of said) {
      if (verdict || verdicts.has(key)) verdicts.set(key, { verdict, when: new Date().toISOString() });
    }
    write();
  }

  const judge = (key, verdict) => judgeAll([[key, verdict]]);

  function toFile() {
    // Gold standards are marked, so that they count for the reviewer's skill and never as images of the run.
    const gold = new Map(Object.entries(data.gold || {}).map(([index, truth]) => [data.keys[index], truth]));
    const list = [...verdicts].map(([key, { verdict, when }]) => (
      gold.has(key) ? { key, verdict, when, gold: gold.get(key) } : { key, verdict, when }));
    return {
      kind: "crater-ray verdicts", format: 1, run_id: data.facts.run_id, bundle: data.facts.bundle,
      reviewer, saved: new Date().toISOString(), verdicts: list,
    };
  }

  // The newer of two verdicts on the same image counts.
  function fromFile(content) {
    if (content.kind !== "crater-ray verdicts" || !Array.isArray(content.verdicts)) throw new Error("This is no file of verdicts.");
    if (content.run_id !== data.facts.run_id) throw new Error("These verdicts belong to another run.");
    let taken = 0;
    for (const { key, verdict, when } of content.verdicts) {
      const known = ["crater", "not", "unsure", ""].includes(verdict) && typeof key === "string";
      const mine = verdicts.get(key);
      if (known && (!mine || mine.when < when)) { verdicts.set(key, { verdict, when: String(when) }); taken += 1; }
    }
    write();
    return taken;
  }

  return {
    summary, chunk, details, judge, judgeAll, toFile, fromFile, read,
    verdict: (key) => verdicts.get(key)?.verdict || "",
    judged: () => [...verdicts.values()].filter(({ verdict }) => verdict).length,
    reviewer: (name) => { if (name !== undefined) { reviewer = name; write(); } return reviewer; },
    keeps: () => keeps,
    data: () => data,
  };
})();
