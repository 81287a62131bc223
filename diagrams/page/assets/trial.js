// Try it: one state, one event, every guard a switch; the answer at once.

const OUTCOMES = {
  accepted: "accepted", absorbed: "absorbed: the state takes note and stays", refused: "refused: nothing changes",
  undefined: "undefined: the table says nothing about this event here",
};

const trial = { machine: null, state: null, event: null, holds: new Map(), walked: [] };

/** Set up by the address: state, event and the guards' answers as 0 and 1. */
function setTrial(machine, state, event, bits) {
  const first = machine.declared.states[0].name;
  const known = machine.states.has(state) ? state : first;
  if (trial.machine !== machine) trial.walked = [];
  trial.machine = machine;
  trial.state = known;
  trial.event = machine.events.has(event) ? event : eventsFor(machine, known).here[0] || machine.declared.events[0]?.name;
  const asked = askedIn(machine, known, trial.event);
  const given = bits !== undefined && bits.length === asked.length;
  const wanted = new Map((cellOf(machine, known, trial.event)[0] ? wantedBy(cellOf(machine, known, trial.event)[0]) : []));
  trial.holds = new Map(asked.map((name, place) => [name, given ? bits[place] === "1" : wanted.get(name) ?? false]));
}

function eventsFor(machine, state) {
  const resting = machine.states.get(state);
  const all = machine.declared.events.map((event) => event.name);
  const here = all.filter((event) => cellOf(machine, state, event).length);
  const fixed = all.filter((event) => !here.includes(event) && (resting.absorbs.includes(event) || resting.refuses.some(([name]) => name === event)));
  return { here, fixed, none: all.filter((event) => !here.includes(event) && !fixed.includes(event)) };
}

function trialParts() {
  const bits = [...trial.holds.values()].map((held) => (held ? "1" : "0")).join("");
  return [trial.machine.name, "try", trial.state, trial.event, ...(bits ? [bits] : [])];
}

function trialTitle() {
  return `try ${trial.event} in ${trial.state}`;
}

function trialAnswer() {
  return decide(trial.machine, trial.state, trial.event, trial.holds);
}

function trialPanel() {
  const { machine } = trial;
  if (!trial.event) return [heading("try it", machine.name), make("p", { class: "hint" }, "This machine has no events.")];
  const { here, fixed, none } = eventsFor(machine, trial.state);
  const options = (title, names) => names.length ? make("optgroup", { label: title }, names.map((name) => make("option", { value: name, selected: name === trial.event }, name))) : null;
  return [
    make("div", { class: "choose" },
      make("label", null, make("span", null, "In state"),
        make("select", { id: "trial-state", onchange: (event) => go([machine.name, "try", event.target.value]) },
          machine.declared.states.map((state) => make("option", { value: state.name, selected: state.name === trial.state }, state.name)))),
      make("label", null, make("span", null, "happens"),
        make("select", { id: "trial-event", onchange: (event) => go([machine.name, "try", trial.state, event.target.value]) },
          options("has edges here", here), options("absorbed or always refused here", fixed), options("undefined here", none)))),
    make("p", { class: "words" }, make("bdi", null, machine.events.get(trial.event).meaning)),
    make("div", { id: "trial-answer", "aria-live": "polite" }, trialResult()),
    trialGuards(),
    make("div", { id: "trial-edges" }, trialEdges()),
    section("Walked", trial.walked.length ? make("p", { class: "path" }, trial.walked.map(({ state, event }) => [toState(machine, state), " ", code(event), " → "]), toState(machine, trial.state)) : null),
  ];
}

function trialResult() {
  const { machine } = trial;
  const answer = trialAnswer();
  const edge = answer.transition ? machine.edges.get(answer.transition) : null;
  return make("div", { class: `answer ${answer.outcome}`, "data-outcome": answer.outcome, "data-next": answer.next },
    make("p", { class: "outcome" }, make("strong", null, OUTCOMES[answer.outcome])),
    make("p", { class: "path" }, toState(machine, trial.state), edge ? [" → ", toState(machine, answer.next)] : " stays as it is"),
    edge && make("p", null, "by row ", link([machine.name, "edge", edge.id], null, make("b", null, rowOf(edge))), edge.reason ? [": ", make("bdi", null, edge.reason)] : null),
    answer.refusals.length ? make("ul", { class: "refusals" }, answer.refusals.map(({ code: name, sentence }) => make("li", null, toCode(machine, name), " ", make("bdi", null, sentence)))) : null,
    answer.effects.length ? make("ul", { class: "plainlist effects" }, answer.effects.map((name) => named(machine, "effect", name, machine.effects.get(name)))) : null,
    answer.outcome === "accepted" && answer.next !== trial.state ? button(`Go on from ${answer.next}`, walkOn, { class: "go", id: "walk" }) : null);
}

function walkOn() {
  const next = trialAnswer().next;
  trial.walked.push({ state: trial.state, event: trial.event });
  go([trial.machine.name, "try", next]);
}

function trialGuards() {
  const { machine } = trial;
  const names = [...trial.holds.keys()];
  if (!names.length) return section("Guards", make("p", { class: "hint" }, "This cell asks none."));
  return section("Guards: what is true?", make("ul", { class: "switches" }, names.map((name) => {
    const guard = machine.guards.get(name);
    const held = trial.holds.get(name);
    return make("li", null,
      make("button", { type: "button", role: "switch", "aria-checked": String(held), "data-guard": name, onclick: () => turn(name) },
        make("span", { class: "knob", "aria-hidden": "true" }), make("span", { class: "yesno" }, held ? "yes" : "no"),
        make("bdi", { class: "sentence" }, guard.sentence)),
      make("span", { class: "fine" }, link([machine.name, "guard", name], null, code(name)), " ", toCode(machine, guard.code)));
  })));
}

function turn(name) {
  trial.holds.set(name, !trial.holds.get(name));
  stay(trialParts());
  refreshTrial(name);
}

/** The edges of the cell in their order, and the present answer of each of their guards. */
function trialEdges() {
  const { machine } = trial;
  const edges = cellOf(machine, trial.state, trial.event);
  const { verdicts, transition } = trialAnswer();
  return section("Edges of this cell, in order", edges.map((edge, place) => {
    const asked = verdicts.some((verdict) => verdict.transition === edge.id) || transition === edge.id;
    const taken = transition === edge.id;
    const status = taken ? "taken" : asked ? "says no" : "not asked";
    return make("div", { class: `try-edge ${taken ? "taken" : asked ? "no" : "unasked"}`, "data-edge": edge.id },
      make("p", null, make("span", { class: "row" }, rowOf(edge)), link([machine.name, "edge", edge.id], null, `${place + 1}. `, edge.dest === edge.source ? "stays" : ["→ ", make("bdi", null, edge.dest)]), " ",
        chip(status, taken ? "good" : asked ? "refused" : ""),
        taken || !wantedBy(edge).length ? null : button("Make it agree", () => agree(edge), { class: "small" })),
      make("ul", { class: "verdicts" }, wantedBy(edge).map(([name, wanted]) => {
        const held = trial.holds.get(name);
        const passes = held === wanted;
        return make("li", { class: passes ? "passes" : "fails" }, make("span", { class: "tick", "aria-hidden": "true" }),
          make("span", null, passes ? "agrees: " : "does not agree: ", verdictWords(machine, name, wanted, held)));
      })));
  }));
}

/** One guard's verdict in words. */
function verdictWords(machine, name, wanted, held) {
  const guard = machine.guards.get(name);
  const sentence = guard ? guard.sentence : name;
  const said = held ? "it holds that " : "it does not hold that ";
  const rule = wanted === null ? "" : wanted ? " (must hold)" : " (must not hold)";
  return [said, make("bdi", null, sentence), make("span", { class: "quietly" }, rule)];
}

function agree(edge) {
  for (const [name, wanted] of wantedBy(edge)) trial.holds.set(name, wanted);
  const later = cellOf(trial.machine, trial.state, trial.event);
  for (const before of later.slice(0, later.indexOf(edge))) blockEdge(before, edge);
  stay(trialParts());
  refreshTrial();
}

/** An earlier edge must not win: answer no to one of its guards that the wanted edge does not ask. */
function blockEdge(before, edge) {
  const settled = new Set(wantedBy(edge).map(([name]) => name));
  if (wantedBy(before).some(([name, wanted]) => trial.holds.get(name) !== wanted)) return;
  const free = wantedBy(before).find(([name]) => !settled.has(name));
  if (free) trial.holds.set(free[0], !free[1]);
}

function refreshTrial(focusOn) {
  show("try", { title: trialTitle(), content: trialPanel(), light: lightTrial, keepScroll: true });
  if (focusOn) document.querySelector(`[data-guard="${CSS.escape(focusOn)}"]`)?.focus();
}

function lightTrial() {
  const answer = trialAnswer();
  return markStep(trial.state, trial.event, answer.next, answer.outcome === "accepted");
}
