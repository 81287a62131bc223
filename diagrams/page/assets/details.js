// The panel about a selection: machine, state, event, edge, wire, guard, code or effect.

const KINDS = { pseudo: "before it exists", live: "live", parked: "a person must look", final: "ended" };
const ORIGINS = {
  caller: "from the caller", engine: "from the engine", mint: "from the mint", clock: "from the clock",
  operator: "from an operator", restart: "from a restart",
};

const ABOUT = {
  state: aboutState, event: aboutEvent, edge: aboutEdge, wire: aboutWire, guard: aboutGuard, code: aboutCode,
  effect: aboutEffect,
};

/** The panel of a selection; of the machine when nothing, or nothing that is there, is selected. */
function about(machine, kind, names) {
  const found = kind && Object.hasOwn(ABOUT, kind) ? ABOUT[kind](machine, ...names) : null;
  return found || { title: machine.name, content: aboutMachine(machine), light: () => [] };
}

function heading(kind, name, chips) {
  return [make("p", { class: "kind" }, kind), make("h2", null, make("bdi", null, name)), chips && chips.some(Boolean) ? make("p", { class: "chips" }, chips) : null];
}

function words(text) {
  return text ? make("p", { class: "words" }, make("bdi", null, text)) : null;
}

function toState(machine, name) {
  return link([machine.name, "state", name], { class: `state-link ${kindOf(machine, name)}` }, make("bdi", null, name));
}

function kindOf(machine, name) {
  const state = machine.states.get(name);
  if (!state) return "";
  if (state.write_ahead) return "ahead";
  if (state.kind === "live") return machine.declared.good_path.includes(name) ? "good" : "live";
  return state.kind;
}

function toEvent(machine, name) {
  return link([machine.name, "event", name], { class: "event-link" }, code(name));
}

function named(machine, kind, name, sentence) {
  return make("li", null, link([machine.name, kind, name], null, code(name)), sentence ? [" ", make("bdi", { class: "quietly" }, sentence)] : null);
}

function aboutMachine(machine) {
  const { declared } = machine;
  const path = declared.good_path.map((name, place) => [place ? " → " : null, toState(machine, name)]);
  const groups = gathered(declared.states, (state) => state.group || (state.kind === "pseudo" ? "start" : "other"));
  return [
    heading("machine", declared.name, [chip(`version ${declared.version}`)]),
    make("dl", { class: "numbers" },
      number("states", declared.states.filter((state) => state.kind !== "pseudo").length),
      number("events", declared.events.length), number("edges", declared.transitions.length),
      number("guards", declared.guards.length)),
    section("Good path", path.length ? make("p", { class: "path" }, path) : null),
    section("States", [...groups].map(([group, states]) => [
      groups.size > 1 ? make("h4", null, make("bdi", null, group)) : null,
      make("ul", { class: "plainlist" }, states.map((state) => make("li", null, toState(machine, state.name), " ", make("bdi", { class: "quietly" }, state.meaning)))),
    ])),
    section("Events", make("ul", { class: "plainlist" }, declared.events.map((event) => named(machine, "event", event.name, event.meaning)))),
    section("Content hash", make("p", { class: "hash" }, declared.content_hash)),
  ];
}

function number(name, value) {
  return make("div", null, make("dt", null, name), make("dd", null, value.toLocaleString("en")));
}

// -- states -------------------------------------------------------------------------------------------

function aboutState(machine, name) {
  const state = machine.states.get(name);
  if (!state) return null;
  const leaving = machine.leaving.get(name) || [];
  const entering = machine.entering.get(name) || [];
  const events = machine.declared.events.map((event) => event.name);
  const told = events.filter((event) => cellOf(machine, name, event).length || state.absorbs.includes(event) || state.refuses.some(([refused]) => refused === event));
  const silent = events.filter((event) => !told.includes(event));
  const content = [
    heading("state", name, [
      chip(KINDS[state.kind] || state.kind, kindOf(machine, name)),
      state.write_ahead && chip("written ahead", "ahead"),
      machine.declared.good_path.includes(name) && chip("good path", "good"),
      state.ends && chip(`ends ${state.ends}`),
      state.waits_for && chip(`waits for ${state.waits_for}`),
      state.frees && chip("inputs free"),
      state.settles && chip("outcome known"),
      state.group && chip(state.group),
    ]),
    words(state.meaning),
    section("Action", state.action && make("p", null, code(state.action), machine.actions.get(state.action) ? [": ", make("bdi", null, machine.actions.get(state.action))] : null,
      state.write_ahead && make("span", { class: "note" }, "Written ahead: it runs only after this state is committed, so that after a crash the stored state says that the request may have been sent."))),
    section("What an event does here", told.length ? cellTable(machine, name, told) : null,
      make("p", { class: "hint" }, "Choose an event to try it.")),
    section("Leads on", leaving.length ? edgeList(machine, leaving, "dest") : null),
    section("Comes from", entering.length ? edgeList(machine, entering, "source") : null),
    section("Always refuses", state.refuses.length ? make("ul", { class: "plainlist" }, state.refuses.map(([event, refusal, sentence]) =>
      make("li", null, toEvent(machine, event), " ", toCode(machine, refusal), " ", make("bdi", { class: "quietly" }, sentence)))) : null),
    section("Absorbs", state.absorbs.length ? make("p", { class: "list" }, state.absorbs.map((event) => [toEvent(machine, event), " "])) : null),
    silent.length ? make("details", null, make("summary", null, `${silent.length} events are undefined here`), make("p", { class: "list" }, silent.map((event) => [toEvent(machine, event), " "]))) : null,
  ];
  return { title: `state ${name}`, content, light: () => markState(machine, name) };
}

function cellTable(machine, state, events) {
  const rows = events.map((event) => make("tr", null,
    make("th", { scope: "row" }, link([machine.name, "try", state, event], null, code(event))),
    make("td", null, outcomes(machine, state, event))));
  return make("table", { class: "cells" }, make("thead", { class: "unseen" }, make("tr", null, make("th", null, "event"), make("th", null, "outcomes"))), make("tbody", null, rows));
}

/** Every answer a cell can give, as chips: where it leads, or that nothing changes. */
function outcomes(machine, state, event) {
  const seen = new Set();
  return answersOf(machine, state, event).map((answer) => {
    const text = answer.outcome === "accepted" ? (answer.next === state ? "stays" : `→ ${answer.next}`) : answer.code ? `refused ${answer.code}` : answer.outcome;
    if (seen.has(text)) return null;
    seen.add(text);
    return [chip(text, answer.outcome === "accepted" ? kindOf(machine, answer.next) : answer.outcome), " "];
  });
}

function edgeList(machine, edges, end) {
  return make("ul", { class: "edges" }, edges.map((edge) => make("li", null,
    link([machine.name, "edge", edge.id], null, make("span", { class: "row" }, rowOf(edge)), code(edge.event)),
    make("span", { class: "end" }, end === "dest" ? "→ " : "← ", toState(machine, edge[end])))));
}

// -- edges --------------------------------------------------------------------------------------------

function aboutEdge(machine, id) {
  const edge = machine.edges.get(id);
  if (!edge) return null;
  const content = [heading("edge", `${edge.event}, row ${rowOf(edge)}`), edgeBody(machine, edge)];
  return { title: `edge ${id}`, content, light: () => markEdges([edge]) };
}

function edgeBody(machine, edge) {
  const event = machine.events.get(edge.event);
  const cell = cellOf(machine, edge.source, edge.event);
  const twins = cell.filter((other) => other !== edge);
  return [
    make("p", { class: "path" }, toState(machine, edge.source), edge.dest === edge.source ? " stays" : [" → ", toState(machine, edge.dest)]),
    words(edge.reason && `Because ${edge.reason}.`),
    make("p", null, "When ", toEvent(machine, edge.event), event ? [": ", make("bdi", null, event.meaning)] : null),
    section("Guards", wantedBy(edge).length ? make("ul", { class: "guards" }, wantedBy(edge).map(([name, wanted]) => guardLine(machine, name, wanted))) : make("p", { class: "hint" }, "None: it is taken whenever it is reached.")),
    section("Effects, in the same commit", edge.effects.length ? make("ul", { class: "plainlist" }, edge.effects.map((name) => named(machine, "effect", name, machine.effects.get(name)))) : null),
    section("Same state and event", twins.length ? [
      make("p", { class: "hint" }, `Tried as number ${cell.indexOf(edge) + 1} of ${cell.length}; the first whose guards agree is taken.`),
      edgeList(machine, twins, "dest")] : null),
    make("p", null, link([machine.name, "try", edge.source, edge.event], { class: "go" }, "Try it")),
    make("p", { class: "hash" }, edge.id),
  ];
}

function guardLine(machine, name, wanted) {
  const guard = machine.guards.get(name);
  return make("li", { class: wanted ? "must" : "mustnot" },
    make("span", { class: "polarity" }, wanted ? "must hold" : "must not hold"),
    make("bdi", { class: "sentence" }, guard.sentence),
    make("span", { class: "fine" }, link([machine.name, "guard", name], null, code(name)), " else ", toCode(machine, guard.code)));
}

function toCode(machine, name) {
  return link([machine.name, "code", name], { class: "refusal" }, make("bdi", null, name));
}

function aboutWire(machine, source, dest) {
  const edges = (machine.leaving.get(source) || []).filter((edge) => edge.dest === dest);
  if (!edges.length) return null;
  if (edges.length === 1) return aboutEdge(machine, edges[0].id);
  const content = [
    heading("edges", dest === source ? `${source} stays` : `${source} → ${dest}`),
    make("p", { class: "hint" }, `${edges.length} edges run along this line.`),
    edges.map((edge, place) => make("details", { class: "card", open: place === 0 },
      make("summary", null, make("span", { class: "row" }, rowOf(edge)), code(edge.event)), edgeBody(machine, edge))),
  ];
  return { title: `edges from ${source} to ${dest}`, content, light: () => markEdges(edges) };
}

// -- events, guards, codes, effects -------------------------------------------------------------------

function aboutEvent(machine, name) {
  const event = machine.events.get(name);
  if (!event) return null;
  const edges = machine.at.get(name) || [];
  const states = machine.declared.states;
  const absorbing = states.filter((state) => state.absorbs.includes(name));
  const refusing = states.filter((state) => state.refuses.some(([refused]) => refused === name));
  const content = [
    heading("event", name, [chip(ORIGINS[event.origin] || event.origin)]),
    words(event.meaning),
    section("Edges", edges.length ? eventEdges(machine, edges) : null),
    section("Absorbed in", absorbing.length ? make("p", { class: "list" }, absorbing.map((state) => [toState(machine, state.name), " "])) : null),
    section("Always refused in", refusing.length ? make("ul", { class: "plainlist" }, refusing.map((state) => {
      const [, refusal, sentence] = state.refuses.find(([refused]) => refused === name);
      return make("li", null, toState(machine, state.name), " ", toCode(machine, refusal), " ", make("bdi", { class: "quietly" }, sentence));
    })) : null),
    make("p", { class: "hint" }, "Everywhere else it is undefined and changes nothing."),
  ];
  return { title: `event ${name}`, content, light: () => (edges.length ? markEdges(edges) : []) };
}

function eventEdges(machine, edges) {
  return make("ul", { class: "edges" }, edges.map((edge) => make("li", null,
    link([machine.name, "edge", edge.id], null, make("span", { class: "row" }, rowOf(edge)), code(edge.event)),
    make("span", { class: "end" }, toState(machine, edge.source), " → ", toState(machine, edge.dest)))));
}

function aboutGuard(machine, name) {
  const guard = machine.guards.get(name);
  if (!guard) return null;
  const requiring = machine.declared.transitions.filter((edge) => edge.requires.includes(name));
  const forbidding = machine.declared.transitions.filter((edge) => edge.forbids.includes(name));
  const content = [
    heading("guard", name),
    words(`Asks whether ${guard.sentence}.`),
    make("p", null, "Refuses with ", toCode(machine, guard.code), machine.codes.get(guard.code) ? [": ", make("bdi", null, machine.codes.get(guard.code))] : null),
    section("Must hold for", requiring.length ? eventEdges(machine, requiring) : null),
    section("Must not hold for", forbidding.length ? eventEdges(machine, forbidding) : null),
  ];
  return { title: `guard ${name}`, content, light: () => markEdges([...requiring, ...forbidding]) };
}

function aboutCode(machine, name) {
  if (!machine.codes.has(name)) return null;
  const guards = machine.declared.guards.filter((guard) => guard.code === name);
  const refusing = machine.declared.states.flatMap((state) => state.refuses.filter(([, refusal]) => refusal === name).map(([event, , sentence]) => ({ state, event, sentence })));
  const content = [
    heading("refusal code", name),
    words(machine.codes.get(name)),
    section("Guards that refuse with it", guards.length ? make("ul", { class: "plainlist" }, guards.map((guard) => named(machine, "guard", guard.name, guard.sentence))) : null),
    section("Always refused", refusing.length ? make("ul", { class: "plainlist" }, refusing.map(({ state, event, sentence }) =>
      make("li", null, toState(machine, state.name), " ", toEvent(machine, event), " ", make("bdi", { class: "quietly" }, sentence)))) : null),
  ];
  const edges = machine.declared.transitions.filter((edge) => wantedBy(edge).some(([guard]) => machine.guards.get(guard).code === name));
  return { title: `code ${name}`, content, light: () => (edges.length ? markEdges(edges) : []) };
}

function aboutEffect(machine, name) {
  if (!machine.effects.has(name)) return null;
  const edges = machine.declared.transitions.filter((edge) => edge.effects.includes(name));
  const content = [heading("effect", name), words(machine.effects.get(name)), section("Written by", eventEdges(machine, edges))];
  return { title: `effect ${name}`, content, light: () => markEdges(edges) };
}
