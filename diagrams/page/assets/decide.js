// What a machine answers. A second, independent reading of the declaration: tests compare it with Python's
// for every state, event and valuation of the guards.

function key(...parts) {
  return JSON.stringify(parts);
}

function gathered(items, keyOf) {
  const found = new Map();
  for (const item of items) {
    const name = keyOf(item);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(item);
  }
  return found;
}

/** A machine of the model with its parts by name. */
function indexed(declared) {
  return {
    declared,
    name: declared.name,
    states: new Map(declared.states.map((state) => [state.name, state])),
    events: new Map(declared.events.map((event) => [event.name, event])),
    guards: new Map(declared.guards.map((guard) => [guard.name, guard])),
    edges: new Map(declared.transitions.map((edge) => [edge.id, edge])),
    cells: gathered(declared.transitions, (edge) => key(edge.source, edge.event)),
    leaving: gathered(declared.transitions, (edge) => edge.source),
    entering: gathered(declared.transitions, (edge) => edge.dest),
    at: gathered(declared.transitions, (edge) => edge.event),
    actions: new Map(Object.entries(declared.actions)),
    effects: new Map(Object.entries(declared.effects)),
    codes: new Map(Object.entries(declared.codes)),
  };
}

/** The edges of a cell, in order of precedence. */
function cellOf(machine, state, event) {
  return machine.cells.get(key(state, event)) || [];
}

/** The guards a cell asks, each once, in the order in which they are asked. */
function askedIn(machine, state, event) {
  return [...new Set(cellOf(machine, state, event).flatMap((edge) => [...edge.requires, ...edge.forbids]))];
}

/** What is wanted of each guard of an edge: [name, true or false]. */
function wantedBy(edge) {
  return [...edge.requires.map((name) => [name, true]), ...edge.forbids.map((name) => [name, false])];
}

/**
 * One event under one valuation (a Map from guard to true or false): the first edge whose guards agree is
 * taken; else the state absorbs it, refuses it by a fixed refusal, or by its guards; else it is undefined.
 */
function decide(machine, state, event, holds) {
  const resting = machine.states.get(state);
  const edges = cellOf(machine, state, event);
  const verdicts = [];
  const answer = (outcome, next, edge, refusals) => ({
    outcome,
    next,
    transition: edge ? edge.id : null,
    effects: edge ? edge.effects : [],
    verdicts,
    refusals,
  });
  for (const edge of edges) {
    let agrees = true;
    for (const [guard, required] of wantedBy(edge)) {
      const held = holds.get(guard) === true;
      verdicts.push({ transition: edge.id, guard, required, held });
      agrees = agrees && held === required;
    }
    if (agrees) return answer("accepted", edge.dest, edge, []);
  }
  if (resting.absorbs.includes(event)) return answer("absorbed", state, null, []);
  const fixed = resting.refuses.find(([name]) => name === event);
  if (fixed) return answer("refused", state, null, [{ code: fixed[1], sentence: fixed[2] }]);
  if (edges.length) return answer("refused", state, null, reasons(machine, verdicts));
  return answer("undefined", state, null, []);
}

/** The guards that said no, each once, with the code and the sentence of the refusal. */
function reasons(machine, verdicts) {
  const found = new Map();
  for (const { guard, required, held } of verdicts) {
    const name = key(guard, required);
    if (held === required || found.has(name)) continue;
    const { code, sentence, says_no: denied } = machine.guards.get(guard);
    found.set(name, { code, sentence: required ? denied || `it does not hold that ${sentence}` : sentence });
  }
  return [...found.values()];
}

/** Every answer a cell can give: outcome with next state, in the order in which they are tried. */
function answersOf(machine, state, event) {
  const edges = cellOf(machine, state, event);
  const answers = edges.map((edge) => ({ outcome: "accepted", next: edge.dest, edge }));
  if (edges.some((edge) => wantedBy(edge).length === 0)) return answers;
  const no = askedIn(machine, state, event);
  const fallsThrough = no.length > 12 || valuations(no).some(
    (holds) => !edges.some((edge) => wantedBy(edge).every(([name, wanted]) => holds.get(name) === wanted)));
  if (!fallsThrough) return answers;
  const resting = machine.states.get(state);
  const fixed = resting.refuses.find(([name]) => name === event);
  if (resting.absorbs.includes(event)) answers.push({ outcome: "absorbed", next: state });
  else if (fixed) answers.push({ outcome: "refused", next: state, code: fixed[1], sentence: fixed[2] });
  else if (edges.length) answers.push({ outcome: "refused", next: state });
  else answers.push({ outcome: "undefined", next: state });
  return answers;
}

/** Every combination of answers to these guards. */
function valuations(names) {
  return Array.from({ length: 2 ** names.length }, (_, number) =>
    new Map(names.map((name, place) => [name, ((number >> (names.length - 1 - place)) & 1) === 1])));
}
