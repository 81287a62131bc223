// What of the drawing is lit up: the selection, an edge that is tried, a step of a replay.

const MARKS = ["is-chosen", "is-near", "is-dim", "is-from", "is-to", "is-taken", "is-past"];

function stateGroup(name) {
  return [...board.svg.querySelectorAll("[data-state]")].find((group) => group.dataset.state === name) || null;
}

function wireGroup(source, dest) {
  return [...board.svg.querySelectorAll("[data-edge]")].find(
    (group) => group.dataset.source === source && group.dataset.dest === dest) || null;
}

function unmark() {
  for (const group of board.svg.querySelectorAll("[data-state], [data-edge]")) group.classList.remove(...MARKS);
  board.svg.classList.remove("lit");
}

function mark(name, groups) {
  for (const group of groups) if (group) group.classList.add(name);
}

function dimOthers() {
  board.svg.classList.add("lit");
  const lit = MARKS.filter((name) => name !== "is-dim");
  for (const group of board.svg.querySelectorAll("[data-state], [data-edge]")) {
    if (!lit.some((name) => group.classList.contains(name))) group.classList.add("is-dim");
  }
}

/** Light up edges with the states at their ends; returns their groups. */
function markEdges(edges) {
  const wires = edges.map((edge) => wireGroup(edge.source, edge.dest)).filter(Boolean);
  mark("is-taken", wires);
  mark("is-near", edges.flatMap((edge) => [stateGroup(edge.source), stateGroup(edge.dest)]));
  dimOthers();
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
function markStep(source, dest, accepted, past) {
  for (const edge of past || []) {
    mark("is-past", [wireGroup(edge.source, edge.dest), stateGroup(edge.source), stateGroup(edge.dest)]);
  }
  const wire = accepted ? wireGroup(source, dest) : null;
  mark("is-taken", [wire]);
  mark("is-from", [stateGroup(source)]);
  if (accepted) mark("is-to", [stateGroup(dest)]);
  dimOthers();
  return [stateGroup(source), accepted ? stateGroup(dest) : null].filter(Boolean);
}

/** Numbers on the states of the shown sheet: [state, number, words]. */
function badge(numbers) {
  for (const old of board.svg.querySelectorAll(".badge")) old.remove();
  for (const [name, number, words] of numbers) {
    const group = stateGroup(name);
    if (!group) continue;
    const frame = (group.querySelector(".frame") || group).getBBox();
    const text = number.toLocaleString("en");
    const width = 14 + text.length * 9;
    const x = frame.x + frame.width - width + 8;
    group.append(draw("g", { class: "badge" },
      draw("title", null, words),
      draw("rect", { x, y: frame.y - 12, width, height: 23, rx: 11.5 }),
      draw("text", { x: x + width / 2, y: frame.y + 4.5, "text-anchor": "middle" }, text)));
    group.setAttribute("aria-label", `state ${name}, ${words}`);
  }
}
