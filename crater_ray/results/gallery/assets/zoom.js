// The whole image of a candidate: larger, smaller, scrolled to the evidence, with its details and verdict.
"use strict";

craterRay.zoom = (options) => {
  const get = (id) => document.getElementById(id);
  const [dialog, viewport, stage, image] = [get("zoom"), get("viewport"), get("stage"), get("whole")];
  const ring = stage.querySelector(".ring");
  let current = null;
  let scale = 1;

  get("zoom-verdicts").append(...craterRay.verdictButtons((v) => options.give(current.index, v), true));

  const fitting = () => Math.min((viewport.clientWidth - 4) / current.width, (viewport.clientHeight - 4) / current.height);

  function resize(wanted) {
    const before = scale;
    scale = Math.min(16, Math.max(Math.min(1, fitting()) / 2, wanted));
    const centre = { x: viewport.scrollLeft + viewport.clientWidth / 2, y: viewport.scrollTop + viewport.clientHeight / 2 };
    stage.style.width = `${current.width * scale}px`;
    stage.style.height = `${current.height * scale}px`;
    image.style.imageRendering = scale >= 4 ? "pixelated" : "auto";
    if (current.details.x !== undefined) {
      ring.style.left = `${(current.details.x + 0.5 - current.left) * scale}px`;
      ring.style.top = `${(current.details.y + 0.5 - current.top) * scale}px`;
      ring.style.width = ring.style.height = `${2 * craterRay.RING * scale}px`;
    }
    get("zoom-level").textContent = `${scale >= 1 ? scale.toFixed(1) : scale.toFixed(2)}×`;
    craterRay.drawScale(get("zoom-scale"), Math.min(viewport.clientWidth, current.width * scale), scale, craterRay.nm(current.details));
    if (current.details.x !== undefined && wanted > before) toEvidence();
    else viewport.scrollTo(centre.x * scale / before - viewport.clientWidth / 2, centre.y * scale / before - viewport.clientHeight / 2);
  }

  function toEvidence() {
    viewport.scrollTo(
      (current.details.x - current.left) * scale - viewport.clientWidth / 2, (current.details.y - current.top) * scale - viewport.clientHeight / 2,
    );
  }

  function describe(index, details) {
    const data = craterRay.data();
    const rows = [["score", craterRay.score(data.scores[index])]];
    if (details.x !== undefined) rows.push(["place", `${details.x.toFixed(1)}, ${details.y.toFixed(1)} px`]);
    for (const place of details.places || []) rows.push(["also at", place]);
    if (details.width) rows.push(["size", `${details.width} × ${details.height} px`]);
    rows.push(["about", craterRay.diameter(details)], ["change", data.groupOf(index)], ["", details.note], ["foil", data.foilOf(index)]);
    for (const name of ["page", "frame", "VMcode", "id", "flags", "bad_focus", "tech", "comment", "bundle"]) rows.push([name, details[name]]);
    const measured = [["focus", "", ""], ["noise", "", " gray levels"], ["contrast", "", ""], ["saturated", "", ""],
      ["instrument", "", ""], ["voltage_kv", "voltage", " kV"], ["magnification", "", "×"], ["pixel_nm", "pixel", " nm"],
      ["bar", "bar left out", " rows"]];
    for (const [name, label, unit] of measured) if (details[name] !== undefined) rows.push([label || name, `${details[name]}${unit}`]);
    rows.push(["address", details.uri]);
    if (details.problem) rows.push(["picture", details.problem]);
    const known = rows.filter(([, value]) => value !== undefined && value !== "");
    get("zoom-details").replaceChildren(...known.flatMap(([name, value]) => [
      craterRay.element("dt", { textContent: name }), craterRay.element("dd", { textContent: String(value) }),
    ]));
  }

  async function show(index) {
    const data = craterRay.data();
    const details = await craterRay.details(index);
    const whole = data.whole && !details.problem;
    // Without whole images the crop alone can be shown, cut out of its sprite by where the picture is put.
    const cell = whole ? null : { row: Math.floor(details.place / data.columns), column: details.place % data.columns };
    current = { index, details, left: whole ? 0 : details.left, top: whole ? 0 : details.top };
    [current.width, current.height] = whole ? [details.width, details.height] : [data.crop, data.crop];
    get("zoom-name").textContent = data.keys[index];
    image.alt = details.problem ? `No picture: ${details.problem}` : `${data.keys[index]}, ${whole ? "whole image" : "crop"}`;
    image.src = details.problem ? "" : whole ? details.whole : details.sprite;
    image.hidden = Boolean(details.problem);
    image.style.cssText = "";
    if (cell) {
      image.style.width = `${100 * data.columns}%`;
      image.style.height = "auto";
      image.style.marginLeft = `${-100 * cell.column}%`;
      image.style.marginTop = `${-100 * cell.row}%`;
    }
    image.style.filter = options.stretched() && !details.problem ? craterRay.stretch(details.low, details.high) : "";
    ring.hidden = details.x === undefined || Boolean(details.problem);
    describe(index, details);
    craterRay.showVerdict(dialog, craterRay.verdict(data.keys[index]));
    if (!dialog.open) { dialog.showModal(); viewport.focus(); }
    scale = 1;
    resize(fitting());
  }

  get("zoom-in").addEventListener("click", () => resize(scale * 1.5));
  get("zoom-out").addEventListener("click", () => resize(scale / 1.5));
  get("zoom-fit").addEventListener("click", () => resize(fitting()));
  get("zoom-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { if (current) options.closed(current.index); });
  window.addEventListener("resize", () => { if (dialog.open) resize(fitting()); });

  return {
    show,
    open: () => dialog.open,
    index: () => current?.index,
    larger: () => resize(scale * 1.5),
    smaller: () => resize(scale / 1.5),
    fit: () => resize(fitting()),
    scroll: (key) => {
      const [right, down] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
      viewport.scrollBy(right * viewport.clientWidth / 4, down * viewport.clientHeight / 4);
    },
    refresh: () => { if (dialog.open) show(current.index); },
  };
};
