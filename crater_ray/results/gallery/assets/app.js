// The page: which candidates are shown, one page of them at a time, and what keys and buttons do.
"use strict";

craterRay.start = (data) => {
  const get = (id) => document.getElementById(id);
  const grid = get("cards");
  const thresholds = data.distribution.thresholds;
  let chosen = [];
  let page = 0;
  let current = -1; // index of the candidate that keys act on
  let turn = 0; // counts page changes: what was asked for before the last one is not shown any more

  const similar = craterRay.similar(data, { tell, changed: (index) => choose().then(() => goTo(index)) });
  const folds = craterRay.folds(data, { changed: (index) => choose().then(() => goTo(index)) });
  const selection = craterRay.selection(data, { judged: (indices) => { indices.forEach(mark); countVerdicts(); } });

  const drawChart = craterRay.chart(get("histogram"), data.distribution);
  const zoom = craterRay.zoom({ give, stretched: () => get("stretch").checked, closed: (index) => focus(index) });

  function threshold() {
    return thresholds[Number(get("threshold").value)];
  }

  function choose() {
    const [least, foil, group] = [threshold(), get("foil").value, get("group").value];
    const [wanted, text] = [get("verdict").value, get("search").value.toLowerCase()];
    const flag = get("flag").value;
    chosen = [];
    for (let i = 0; i < data.keys.length; i += 1) {
      if (data.scores[i] !== null && data.scores[i] < least) continue;
      if (foil !== "" && data.foil.of[i] !== Number(foil)) continue;
      if (group !== "" && data.group.of[i] !== Number(group)) continue;
      if (flag === "none" && data.flags.of[i].length) continue;
      if (flag !== "" && flag !== "none" && !data.flags.of[i].includes(Number(flag))) continue;
      if (text && !data.keys[i].toLowerCase().includes(text)) continue;
      const verdict = wanted && craterRay.verdict(data.keys[i]);
      if (wanted && (wanted === "none" ? verdict : verdict !== wanted)) continue;
      chosen.push(i);
    }
    order();
    chosen = similar.shown() ? similar.among(chosen) : folds.fold(chosen);
    page = 0;
    return show();
  }

  // The order of the folder, or one by image quality; images without a value come last.
  function order() {
    const [name, way] = get("sort").value.split(" ");
    if (!name) return;
    const values = name === "score" ? data.scores : data.orders?.[name] || data.quality[name];
    const of = (i) => (values[i] === null ? Infinity : way === "falling" ? -values[i] : values[i]);
    chosen.sort((a, b) => of(a) - of(b) || a - b);
  }

  const pages = () => Math.max(1, Math.ceil(chosen.length / data.chunk));

  async function show() {
    const mine = ++turn;
    page = Math.min(Math.max(page, 0), pages() - 1);
    const shown = chosen.slice(page * data.chunk, (page + 1) * data.chunk);
    const details = await Promise.all(shown.map(craterRay.details)).catch((problem) => { tell(problem.message); return []; });
    if (mine !== turn) return;
    const options = { give, open: zoom.show, select: selection.toggle, stretched: get("stretch").checked, similar, folds };
    grid.replaceChildren(...details.map((one, i) => craterRay.card(shown[i], one, options)));
    if (!shown.length) grid.append(craterRay.element("p", { className: "none", textContent: "No candidate meets these filters." }));
    current = shown.includes(current) ? current : shown.length ? shown[0] : -1;
    rove();
    selection.show();
    const first = page * data.chunk + 1;
    get("where").textContent = chosen.length
      ? `${craterRay.count(first)}–${craterRay.count(first + shown.length - 1)} of ${craterRay.count(chosen.length)}` : "none";
    get("page").value = page + 1;
    get("page").max = pages();
    get("previous").disabled = page === 0;
    get("next").disabled = page >= pages() - 1;
    document.body.dataset.ready = String(mine);
  }

  const cards = () => [...grid.querySelectorAll(".card")];
  const cardOf = (index) => grid.querySelector(`.card[data-index="${index}"]`);

  function rove() {
    for (const card of cards()) card.tabIndex = Number(card.dataset.index) === current ? 0 : -1;
  }

  function focus(index) {
    current = index;
    rove();
    cardOf(index)?.focus();
  }

  async function turnTo(to, place) {
    if (to < 0 || to >= pages() || to === page) return;
    page = to;
    await show();
    const all = cards();
    if (all.length) focus(Number((place === "last" ? all.at(-1) : all[0]).dataset.index));
  }

  async function move(by) {
    const at = chosen.indexOf(current);
    const to = at + by;
    if (at < 0 || to < 0 || to >= chosen.length) return;
    const target = Math.floor(to / data.chunk);
    if (target !== page) { page = target; await show(); }
    if (zoom.open()) { current = chosen[to]; rove(); await zoom.show(current); } else focus(chosen[to]);
  }

  function inRow() {
    const all = cards();
    const second = all.findIndex((card) => card.offsetTop > all[0].offsetTop);
    return second < 0 ? all.length : second;
  }

  async function goTo(index) {
    const at = chosen.indexOf(index);
    if (at < 0) return;
    page = Math.floor(at / data.chunk);
    current = index;
    await show();
    focus(index);
  }

  function mark(index) {
    const card = cardOf(index);
    if (card) craterRay.markCard(card, data.keys[index], data.scores[index]);
  }

  function give(index, verdict, onwards = false) {
    const several = selection.size() > 0 && onwards && !zoom.open();
    const together = several ? selection.all() : folds.members(index);
    if (together.length > 1) { selection.judge(together, verdict); if (onwards && !several) move(1); return; }
    const key = data.keys[index];
    craterRay.judge(key, craterRay.verdict(key) === verdict && !onwards ? "" : verdict);
    mark(index);
    if (zoom.open() && zoom.index() === index) craterRay.showVerdict(get("zoom"), craterRay.verdict(key));
    current = index;
    rove();
    get("said").textContent = `${key}: ${craterRay.verdict(key) || "no verdict"}`;
    countVerdicts();
    if (!craterRay.keeps()) tell("This browser keeps nothing for pages from disk: save your verdicts before you close the page.");
    if (onwards) move(1);
  }

  function countVerdicts() {
    get("save").textContent = `Save verdicts (${craterRay.count(craterRay.judged())})`;
    get("save").disabled = craterRay.toFile().verdicts.length === 0;
  }

  function tell(text) {
    get("notice").textContent = text;
    get("notice").hidden = !text;
  }

  function showThreshold() {
    const [value, reached] = [threshold(), data.distribution.reached[Number(get("threshold").value)]];
    const share = data.facts.images ? ` (${(100 * reached / data.facts.images).toPrecision(3)}% of the run)` : "";
    get("threshold-value").textContent = String(value);
    get("threshold").setAttribute("aria-valuetext", `${value}: ${reached} images`);
    get("to-review").replaceChildren(craterRay.element("b", { textContent: craterRay.count(reached) }), ` images to review${share}`);
    if (value < data.facts.threshold) get("to-review").append(`; pictures are here from ${data.facts.threshold} on`);
    const foil = get("foil").value;
    craterRay.expected(get("expected"), data.expected, Number(get("threshold").value), foil === "" ? null : data.foil.names[foil]);
    drawChart(value, reached);
  }

  function save() {
    const name = get("reviewer").value.trim();
    if (!name) {
      tell("Who reviews? Enter a name; it is kept with the verdicts.");
      get("reviewer").focus();
      return;
    }
    craterRay.reviewer(name);
    const content = craterRay.toFile();
    const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    const safe = name.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "reviewer";
    craterRay.element("a", { href: url, download: `verdicts-${safe}-${content.saved.slice(0, 10)}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    tell(`${craterRay.count(craterRay.judged())} verdicts saved. Next: crater-ray review RUN FILE`);
  }

  async function load(file) {
    try {
      const taken = craterRay.fromFile(JSON.parse(await file.text()));
      tell(`${craterRay.count(taken)} verdicts taken over.`);
    } catch (problem) {
      tell(`${file.name} cannot be taken over: ${problem.message}`);
    }
    countVerdicts();
    await show();
  }

  function toggle(id) {
    get(id).checked = !get(id).checked;
    get(id).dispatchEvent(new Event("change"));
  }

  const actions = {
    c: () => give(current, "crater", true), 1: () => give(current, "crater", true),
    n: () => give(current, "not", true), 2: () => give(current, "not", true),
    u: () => give(current, "unsure", true), 3: () => give(current, "unsure", true),
    0: () => give(current, ""), Backspace: () => give(current, ""),
    j: () => move(1), k: () => move(-1),
    ArrowRight: () => move(1), ArrowLeft: () => move(-1),
    ArrowDown: () => move(zoom.open() ? 1 : inRow()), ArrowUp: () => move(zoom.open() ? -1 : -inRow()),
    "]": () => !zoom.open() && turnTo(page + 1), "[": () => !zoom.open() && turnTo(page - 1),
    l: () => !zoom.open() && similar.toggle(current),
    x: () => !zoom.open() && selection.toggle(current), a: () => !zoom.open() && selection.toggleAll(cards().map((card) => Number(card.dataset.index))),
    e: () => !zoom.open() && folds.unfold(current),
    Escape: () => (selection.size() ? selection.clear() : similar.leave()),
    m: () => toggle("marks"), s: () => toggle("stretch"),
    "?": () => get("help").showModal(),
    "+": () => zoom.open() && zoom.larger(), "=": () => zoom.open() && zoom.larger(),
    "-": () => zoom.open() && zoom.smaller(), f: () => zoom.open() && zoom.fit(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || get("help").open) return;
    if (event.key === "Escape" && zoom.open()) return; // the browser closes it
    const target = event.target;
    if (target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "Enter" && !target.matches("button, a, input")) {
      if (current >= 0 && !zoom.open()) { event.preventDefault(); zoom.show(current); }
      return;
    }
    if (event.shiftKey && event.key.startsWith("Arrow") && zoom.open()) {
      event.preventDefault();
      zoom.scroll(event.key);
      return;
    }
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const scrolls = event.key.startsWith("Arrow") && !zoom.open() && !grid.contains(target);
    if (!action || current < 0 || scrolls) return;
    event.preventDefault();
    action();
  });

  function fill(select, names, any) {
    select.append(craterRay.element("option", { value: "", textContent: any }));
    names.forEach((name, i) => select.append(craterRay.element("option", { value: i, textContent: name })));
    select.parentElement.hidden = names.length === 0;
  }

  const facts = data.facts;
  const parts = [facts.complete ? "" : "NOT COMPLETE", `bundle ${facts.bundle}`, `${craterRay.count(facts.images)} images of ${facts.source}`, `made ${facts.made}`];
  get("facts").textContent = [...parts, facts.note].filter(Boolean).join(" · ");
  fill(get("foil"), data.foil ? data.foil.names : [], "all");
  fill(get("group"), data.group ? data.group.names : [], "all");
  fill(get("flag"), data.flags ? data.flags.names : [], "any");
  if (data.flags) get("flag").append(craterRay.element("option", { value: "none", textContent: "not flagged" }));
  const orders = [["", facts.sort ? `as made: ${facts.sort}` : "best score first"]];
  if (facts.sort) orders.push(["score falling", "best score first"]);
  const worst = { focus: "rising", noise: "falling", contrast: "rising", saturated: "falling" };
  for (const name of Object.keys(data.quality || {})) {
    for (const way of ["rising", "falling"]) orders.push([`${name} ${way}`, `${name}, ${way === worst[name] ? "worst" : "best"} first`]);
  }
  if (data.orders?.uncertainty) orders.push(["uncertainty rising", "least certain first"]);
  if (data.orders?.diversity) orders.push(["diversity rising", "most unlike first"]);
  get("sort").append(...orders.map(([value, textContent]) => craterRay.element("option", { value, textContent })));
  get("sort").parentElement.hidden = orders.length < 2;
  get("statuses").tBodies[0].append(...data.distribution.statuses.map(([status, count]) => craterRay.element("tr", {},
    craterRay.element("td", { textContent: status }), craterRay.element("td", { textContent: craterRay.count(count) }))));
  get("threshold").max = thresholds.length - 1;
  get("threshold").value = Math.max(0, thresholds.findIndex((value) => value >= facts.threshold));
  get("reviewer").value = craterRay.reviewer();

  get("threshold").addEventListener("input", showThreshold);
  for (const id of ["threshold", "foil", "group", "verdict", "flag", "sort"]) get(id).addEventListener("change", choose);
  get("foil").addEventListener("change", showThreshold);
  get("search").addEventListener("input", choose);
  get("reviewer").addEventListener("change", () => craterRay.reviewer(get("reviewer").value.trim()));
  get("previous").addEventListener("click", () => turnTo(page - 1));
  get("next").addEventListener("click", () => turnTo(page + 1));
  get("page").addEventListener("change", () => turnTo(Number(get("page").value) - 1));
  get("marks").addEventListener("change", () => document.body.classList.toggle("unmarked", !get("marks").checked));
  get("stretch").addEventListener("change", () => { show(); zoom.refresh(); });
  get("save").addEventListener("click", save);
  get("load").addEventListener("click", () => get("file").click());
  get("file").addEventListener("change", () => { if (get("file").files[0]) load(get("file").files[0]); get("file").value = ""; });
  get("help-button").addEventListener("click", () => get("help").showModal());
  get("help-close").addEventListener("click", () => get("help").close());
  grid.addEventListener("focusin", (event) => {
    const card = event.target.closest(".card");
    if (card) { current = Number(card.dataset.index); rove(); }
  });
  window.addEventListener("storage", () => { craterRay.read(); countVerdicts(); cards().forEach((card) => {
    const index = Number(card.dataset.index);
    craterRay.markCard(card, data.keys[index], data.scores[index]);
  }); });

  countVerdicts();
  showThreshold();
  choose();
};
