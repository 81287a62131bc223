// The drawing: which sheet is shown, and where one looks at it.

const SCALE_MIN = 0.08;
const SCALE_MAX = 4;
const READABLE = 0.45;

const board = { element: byId("board"), svg: null, full: null, view: { x: 0, y: 0, scale: 1 }, detail: "events", shown: "" };

function boardSize() {
  return { width: board.element.clientWidth || 1, height: board.element.clientHeight || 1 };
}

/** Show the sheet of a machine; returns whether another one was shown before. */
function showSheet(number) {
  const name = `${number}/${board.detail}`;
  if (board.shown === name) return false;
  const sameMachine = board.shown.split("/")[0] === String(number);
  board.shown = name;
  for (const sheet of document.querySelectorAll(".sheet")) {
    sheet.hidden = sheet.dataset.number !== String(number) || sheet.dataset.detail !== board.detail;
    if (!sheet.hidden) board.svg = sheet.querySelector("svg");
  }
  if (!board.svg.dataset.box) {
    board.svg.dataset.box = board.svg.getAttribute("viewBox");
    board.svg.setAttribute("preserveAspectRatio", "xMinYMin meet");
    prepareSheet(board.svg);
  }
  const [x, y, width, height] = board.svg.dataset.box.split(/[ ,]+/).map(Number);
  board.full = { x, y, width, height };
  drawMap();
  opening();
  return !sameMachine;
}

function applyView() {
  const { width, height } = boardSize();
  const { x, y, scale } = board.view;
  board.svg.setAttribute("viewBox", `${x} ${y} ${width / scale} ${height / scale}`);
  frameMap();
  sizeBadges();
}

function setView(x, y, scale) {
  const { width, height } = boardSize();
  const wide = width / scale;
  const high = height / scale;
  const slack = 60 / scale;
  const within = (value, start, length, seen) => {
    if (length <= seen) return start - (seen - length) / 2;
    return Math.min(Math.max(value, start - slack), start + length - seen + slack);
  };
  board.view = {
    x: within(x, board.full.x, board.full.width, wide),
    y: within(y, board.full.y, board.full.height, high),
    scale,
  };
  applyView();
}

function fitScale() {
  const { width, height } = boardSize();
  return Math.min(width / board.full.width, height / board.full.height, 1.5);
}

function fitAll() {
  setView(board.full.x, board.full.y, fitScale());
}

function fitWidth() {
  const scale = Math.min(boardSize().width / board.full.width, 1.25);
  setView(board.full.x, board.full.y, scale);
}

/** The first look: all of it if it can be read then, else its beginning. */
function opening() {
  if (fitScale() >= READABLE) fitAll();
  else fitWidth();
}

function zoom(factor, at) {
  const { width, height } = boardSize();
  const { x, y, scale } = board.view;
  const wanted = Math.min(Math.max(scale * factor, SCALE_MIN), SCALE_MAX);
  const point = at || { x: width / 2, y: height / 2 };
  setView(x + point.x / scale - point.x / wanted, y + point.y / scale - point.y / wanted, wanted);
}

function pan(dx, dy) {
  setView(board.view.x + dx / board.view.scale, board.view.y + dy / board.view.scale, board.view.scale);
}

/** Bring elements of the drawing into sight, if they are not; readable, as far as they fit. */
function reveal(elements) {
  const found = around(elements.map((element) => element.getBBox()).filter((box) => box.width || box.height));
  if (!found) return;
  const { left, top, right, bottom } = found;
  const { width, height } = boardSize();
  const room = height - 64; // the tools lie on the lower end
  const margin = 24;
  const { x, y, scale } = board.view;
  const inSight = (left - x) * scale >= margin && (top - y) * scale >= margin &&
    (right - x) * scale <= width - margin && (bottom - y) * scale <= room - margin;
  if (inSight && scale >= READABLE) return;
  const fitting = Math.min((width - 2 * margin) / (right - left), (room - 2 * margin) / (bottom - top));
  const wanted = Math.max(Math.min(fitting, Math.max(scale, 0.8), 1), READABLE);
  const tooHigh = (bottom - top) * wanted > room - 2 * margin;
  const centre = (left + right) / 2 - width / wanted / 2;
  setView(centre, tooHigh ? top - margin / wanted : (top + bottom) / 2 - room / wanted / 2, wanted);
}

/** Make the parts of a sheet reachable: by a finger, by the tab key, by a reader of screens. Everything is
    measured before anything is changed, so that the page is laid out once. */
function prepareSheet(svg) {
  const wires = [...svg.querySelectorAll("[data-edge]")];
  const boxes = wires.map((group) => around([...group.querySelectorAll("text")].map((text) => text.getBBox())));
  for (const group of svg.querySelectorAll("[data-state]")) {
    filled(group, { tabindex: 0, role: "button", "aria-label": `state ${group.dataset.state}` }, []);
  }
  wires.forEach((group, place) => {
    const { events, source, dest } = group.dataset;
    filled(group, { tabindex: 0, role: "button", "aria-label": `from ${source} to ${dest} by ${events}` }, []);
    const wire = group.querySelector(".wire");
    if (wire) group.prepend(draw("path", { class: "reach", d: wire.getAttribute("d") }));
    const box = boxes[place];
    if (box) {
      const { left, top, right, bottom } = box;
      group.prepend(draw("rect", { class: "reach words-reach", x: left - 4, y: top - 1, width: right - left + 8, height: bottom - top + 2, rx: 4 }));
    }
  });
}

/** The smallest box around boxes, if there are any. */
function around(boxes) {
  if (!boxes.length) return null;
  return {
    left: Math.min(...boxes.map((box) => box.x)),
    top: Math.min(...boxes.map((box) => box.y)),
    right: Math.max(...boxes.map((box) => box.x + box.width)),
    bottom: Math.max(...boxes.map((box) => box.y + box.height)),
  };
}

// -- the small map ------------------------------------------------------------------------------------

function drawMap() {
  const map = byId("map");
  const { x, y, width, height } = board.full;
  const cards = [...board.svg.querySelectorAll("[data-state]")].map((group) => {
    const box = group.getBBox();
    return draw("rect", { class: group.getAttribute("class"), x: box.x, y: box.y, width: box.width, height: box.height, rx: 14 });
  });
  const scale = Math.min(150 / width, 190 / height);
  map.replaceChildren(
    draw("svg", { viewBox: `${x} ${y} ${width} ${height}`, width: Math.round(width * scale), height: Math.round(height * scale) },
      cards, draw("rect", { id: "seen", class: "seen" })));
}

function frameMap() {
  const { width, height } = boardSize();
  const { x, y, scale } = board.view;
  const left = Math.max(x, board.full.x);
  const top = Math.max(y, board.full.y);
  const right = Math.min(x + width / scale, board.full.x + board.full.width);
  const bottom = Math.min(y + height / scale, board.full.y + board.full.height);
  filled(byId("seen"), { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0) }, []);
  const all = right - left >= board.full.width - 1 && bottom - top >= board.full.height - 1;
  byId("map").hidden = all;
}

function moveOnMap(event) {
  const box = byId("map").firstChild.getBoundingClientRect();
  const { width, height } = boardSize();
  const { scale } = board.view;
  setView(
    board.full.x + ((event.clientX - box.left) / box.width) * board.full.width - width / scale / 2,
    board.full.y + ((event.clientY - box.top) / box.height) * board.full.height - height / scale / 2,
    scale);
}

// -- pointer and wheel --------------------------------------------------------------------------------

function listenToPointer(press) {
  let from = null;
  let moved = false;
  board.element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("#tools, #map, #player")) return;
    from = { x: event.clientX, y: event.clientY };
    moved = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    const dx = event.clientX - from.x;
    const dy = event.clientY - from.y;
    if (!moved && Math.abs(dx) + Math.abs(dy) < 5) return;
    moved = true;
    board.element.classList.add("dragging");
    pan(-dx, -dy);
    from = { x: event.clientX, y: event.clientY };
  });
  window.addEventListener("pointerup", () => {
    from = null;
    board.element.classList.remove("dragging");
  });
  board.element.addEventListener("click", (event) => {
    if (!moved && !event.target.closest("#tools, #map, #player")) press(event.target);
  });
  board.element.addEventListener("wheel", (event) => {
    if (event.target.closest("#player")) return;
    event.preventDefault();
    const box = board.element.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    zoom(Math.exp(-Math.max(-200, Math.min(200, lines)) / 400), { x: event.clientX - box.left, y: event.clientY - box.top });
  }, { passive: false });
  const map = byId("map");
  map.addEventListener("pointerdown", moveOnMap);
  map.addEventListener("pointermove", (event) => event.buttons === 1 && moveOnMap(event));
  new ResizeObserver(() => board.svg && setView(board.view.x, board.view.y, board.view.scale)).observe(board.element);
}
