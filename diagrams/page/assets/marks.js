// What of the drawing is lit up: the selection, an edge that is tried, a step of a replay.

const MARKS = ["is-chosen", "is-near", "is-dim", "is-from", "is-to", "is-taken", "is-past", "is-word"];

function stateGroup(name) {
  return [...board.svg.querySelectorAll("[data-state]")].find((group) => group.dataset.state === name) || null;
}

function wireGroup(source, dest) {
  return [...board.svg.querySelectorAll("[data-edge]")].find(
    (group) => group.dataset.source === source && group.dataset.dest === dest) || null;
}

function unmark() {
  for (const group of board.svg.querySelectorAll("[data-state], [data-edge], .is-word")) group.classList.remove(...MARKS);
  board.svg.querySelector(".overlay")?.remove();
}

function mark(name, groups) {
  for (const group of groups) if (group) group.classList.add(name);
}

function dimOthers() {
  const lit = MARKS.filter((name) => name !== "is-dim");
  for (const group of board.svg.querySelectorAll("[data-state], [data-edge]")) {
    if (!lit.some((name) => group.classList.contains(name))) group.classList.add("is-dim");
  }
}

/** A wire lies under every line that crosses it; a lit wire is drawn once more, above everything. */
function lay(wires) {
  const lines = wires.flatMap((wire) => [...wire.querySelectorAll(".wire, .arrow")].map((line) => line.cloneNode(false)));
  board.svg.append(draw("g", { class: "overlay is-taken", "aria-hidden": "true" }, lines));
}

/** The lines of a card that name the event. */
function markWords(wire, event) {
  for (const text of wire.querySelectorAll("text.event")) {
    if (text.textContent.split(", ").some((word) => word.replace(/,$/, "") === event)) text.classList.add("is-word");
  }
}

/** Light up edges with the states at their ends; returns their groups. */
function markEdges(edges) {
  const wires = edges.map((edge) => wireGroup(edge.source, edge.dest)).filter(Boolean);
  mark("is-taken", wires);
  for (const edge of edges) {
    const wire = wireGroup(edge.source, edge.dest);
    if (wire) markWords(wire, edge.event);
  }
  mark("is-near", edges.flatMap((edge) => [stateGroup(edge.source), stateGroup(edge.dest)]));
  dimOthers();
  lay(wires);
  return wires;
}

function markState(machine, name) {
  const group = stateGroup(name);
  const edges = [...(machine.leaving.get(name) || []), ...(machine.entering.get(name) || [])];
  mark("is-chosen", [group]);
  mark("is-near", edges.flatMap((edge) => [wireGroup(edge.source, edge.dest), stateGroup(edge.source), stateGroup(edge.dest)]));
  dimOthers();
  return [group].filter(Boolean);
}

/** Light up one step: where it came from, the wire, where it leads; ``past`` are the edges taken before. */
function markStep(source, event, dest, accepted, past) {
  for (const edge of past || []) {
    mark("is-past", [wireGroup(edge.source, edge.dest), stateGroup(edge.source), stateGroup(edge.dest)]);
  }
  const wire = accepted ? wireGroup(source, dest) : null;
  if (wire) {
    mark("is-taken", [wire]);
    markWords(wire, event);
  }
  mark("is-from", [stateGroup(source)]);
  if (accepted) mark("is-to", [stateGroup(dest)]);
  dimOthers();
  if (wire) lay([wire]);
  return [stateGroup(source), accepted ? stateGroup(dest) : null].filter(Boolean);
}

/** Numbers on the states of the shown sheet: [state, number, words]. */
function badge(numbers) {
  for (const old of board.svg.querySelectorAll(".badge")) old.remove();
  const shown = numbers.map(([name, ...rest]) => [stateGroup(name), name, ...rest]).filter(([group]) => group)
    .map(([group, ...rest]) => [(group.querySelector(".frame") || group).getBBox(), group, ...rest]);
  for (const [frame, group, name, number, told] of shown) {
    const text = number.toLocaleString("en");
    const width = 14 + text.length * 9;
    const corner = `${frame.x + frame.width - 4} ${frame.y + 2}`;
    group.append(draw("g", { class: "badge", "data-corner": corner },
      draw("title", null, told),
      draw("rect", { x: -width / 2, y: -11.5, width, height: 23, rx: 11.5 }),
      draw("text", { x: 0, y: 4.5, "text-anchor": "middle" }, text)));
    group.setAttribute("aria-label", `state ${name}, ${told}`);
  }
  sizeBadges();
}

/** Badges stay readable when the drawing is small. */
function sizeBadges() {
  const size = Math.min(Math.max(0.8 / board.view.scale, 1), 3.2);
  for (const group of board.svg.querySelectorAll(".badge")) {
    group.setAttribute("transform", `translate(${group.dataset.corner}) scale(${size})`);
  }
}
