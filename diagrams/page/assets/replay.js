// Replay: the audit trail of one operation, step by step over the drawing.

const PLAY_MS = 1200;
const replay = { trail: null, machine: null, at: 0, timer: null };

function setReplay(trail, machines) {
  replay.trail = trail;
  replay.machine = machines.find((machine) => machine.name === trail.machine) || null;
  const press = {
    first: [() => goStep(0), "First step", "M3 3v10M13 3 6 8l7 5z"],
    back: [() => goStep(replay.at - 1), "One step back (left arrow)", "M11 3 4 8l7 5z"],
    play: [togglePlay, "Play (p)", "M4 3l9 5-9 5z"],
    next: [() => goStep(replay.at + 1), "One step on (right arrow)", "M5 3l7 5-7 5z"],
    last: [() => goStep(replay.trail.steps.length - 1), "Last step", "M13 3v10M3 3l7 5-7 5z"],
  };
  byId("player").replaceChildren(
    ...Object.entries(press).map(([name, [act, title, path]]) => button("", act, { id: `step-${name}`, title, "aria-label": title, class: "round" }, icon(path))),
    make("input", { id: "step-slider", type: "range", min: 0, max: Math.max(trail.steps.length - 1, 0), value: 0, "aria-label": "Step", oninput: (event) => goStep(Number(event.target.value)) }),
    make("output", { id: "step-told", for: "step-slider" }));
}

function goStep(number) {
  const last = replay.trail.steps.length - 1;
  const wanted = Math.min(Math.max(number, 0), Math.max(last, 0));
  if (wanted === last) stopPlay();
  stay([replay.machine.name, "replay", wanted + 1]);
  showReplay(wanted);
}

function togglePlay() {
  if (replay.timer) return stopPlay();
  if (replay.at === replay.trail.steps.length - 1) goStep(0);
  replay.timer = setInterval(() => goStep(replay.at + 1), PLAY_MS);
  drawPlay();
}

function stopPlay() {
  clearInterval(replay.timer);
  replay.timer = null;
  drawPlay();
}

function drawPlay() {
  const playing = replay.timer !== null;
  const told = playing ? "Pause (p)" : "Play (p)";
  filled(byId("step-play"), { "aria-label": told, title: told }, []).replaceChildren(icon(playing ? "M5 3v10M11 3v10" : "M4 3l9 5-9 5z"));
}

function showReplay(number) {
  replay.at = Math.min(Math.max(number, 0), Math.max(replay.trail.steps.length - 1, 0));
  const step = replay.trail.steps[replay.at];
  byId("step-slider").value = replay.at;
  byId("step-told").textContent = replay.trail.steps.length ? `${replay.at + 1} of ${replay.trail.steps.length}` : "no steps";
  byId("step-slider").setAttribute("aria-valuetext", step ? stepWords(step) : "no steps");
  show("replay", { title: `step ${replay.at + 1}`, content: replayPanel(step), light: () => lightStep(step), keepScroll: true });
  if (step) say(`Step ${replay.at + 1}: ${stepWords(step)}`);
}

function stepWords(step) {
  if (!step.own) return `${step.tokens.length} tokens changed`;
  return `${step.own.event}, from ${step.own.from} to ${step.own.to}`;
}

function lightStep(step) {
  if (!step || !step.own) return [];
  const past = replay.trail.steps.slice(0, replay.at).filter((before) => before.own)
    .map((before) => ({ source: before.own.from, dest: before.own.to }));
  return markStep(step.own.from, step.own.event, step.own.to, true, past);
}

function replayPanel(step) {
  const { trail } = replay;
  const facts = trail.operation.map(([name, value]) => [make("dt", null, name), make("dd", null, make("bdi", null, value))]);
  return [
    make("details", { class: "card operation", open: replay.at === 0 },
      make("summary", null, trail.operation.find(([name]) => name === "operation")?.[1] || trail.machine),
      make("dl", { class: "facts" }, facts)),
    make("p", { class: `seal ${trail.verified ? "whole" : "broken"}` }, trail.verified ? "Hash chain verified when this page was written." : "The hash chain did not hold when this page was written."),
    trail.note ? make("p", { class: "hint" }, trail.note) : null,
    step ? stepCard(step) : make("p", { class: "hint" }, "There are no records."),
    section("All steps", stepList()),
  ];
}

function stepCard(step) {
  const { own, tokens } = step;
  return make("article", { class: "step", id: "step" },
    own ? recordBody(own, replay.machine, true) : make("p", { class: "hint" }, "A commit that changed tokens only."),
    section(tokens.length === 1 ? "Token in the same commit" : "Tokens in the same commit", tokens.map((token) => {
      const machine = page.machines.find((known) => `${known.name}@${known.declared.version}` === token.machine) || null;
      return make("details", { class: "card token" },
        make("summary", null, make("span", { class: "row" }, token.event), `${token.from} → ${token.to}`, make("span", { class: "fine id" }, token.entity)),
        recordBody(token, machine, false));
    })));
}

function recordBody(record, machine, withHead) {
  const edge = machine ? machine.edges.get(record.transition) : null;
  const facts = Object.entries(record.facts);
  return [
    withHead ? make("h2", null, code(record.event)) : null,
    make("p", { class: "path" }, machine ? toState(machine, record.from) : record.from, " → ", machine ? toState(machine, record.to) : record.to),
    make("dl", { class: "facts" },
      fact("time", `${moment(record.at)} (${since(record.at)})`),
      fact("row", edge ? link([machine.name, "edge", edge.id], null, make("b", null, rowOf(edge)), edge.reason ? [": ", make("bdi", null, edge.reason)] : null) : record.transition),
      fact("actor", record.actor), fact("level", record.level), fact("record", `#${record.seq}, ${record.hash.slice(0, 16)}`)),
    section("Guards", record.verdicts.length ? make("ul", { class: "verdicts" }, record.verdicts.map(([transition, name, wanted, held]) => {
      const passes = wanted === null || wanted === held;
      return make("li", { class: passes ? "passes" : "fails" }, make("span", { class: "tick", "aria-hidden": "true" }),
        make("span", null, transition === record.transition ? null : make("span", { class: "row" }, transition.split(".")[0]), machine ? verdictWords(machine, name, wanted, held) : `${name}: ${held ? "yes" : "no"}`));
    })) : make("p", { class: "hint" }, "None were asked.")),
    section("Effects", edge && edge.effects.length ? make("ul", { class: "plainlist" }, edge.effects.map((name) => named(machine, "effect", name, machine.effects.get(name)))) : null),
    section("Amounts and facts", facts.length ? make("dl", { class: "facts" }, facts.map(([name, value]) => fact(name.replaceAll("_", " "), factWords(value)))) : null),
  ];
}

function fact(name, value) {
  return [make("dt", null, name), make("dd", null, value instanceof Node ? value : make("bdi", null, value))];
}

function factWords(value) {
  if (value === null) return "none";
  if (typeof value === "number") return value.toLocaleString("en");
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.map(factWords).join(", ");
  return Object.entries(value).map(([name, inner]) => `${name} ${factWords(inner)}`).join(", ");
}

function stepList() {
  return make("ol", { class: "steps" }, replay.trail.steps.map((step, place) =>
    make("li", { class: place === replay.at ? "now" : place < replay.at ? "past" : "" },
      button("", () => goStep(place), { "aria-current": place === replay.at ? "step" : null },
        make("span", { class: "when" }, since((step.own || step.tokens[0]).at)),
        make("span", { class: "what" }, step.own ? [code(step.own.event), make("span", { class: "quietly" }, `${step.own.from} → ${step.own.to}`)] : make("span", { class: "quietly" }, "tokens only")),
        step.tokens.length ? make("span", { class: "beside" }, `${step.tokens.length} ${step.tokens.length === 1 ? "token" : "tokens"}`) : null))));
}

function moment(ms) {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC");
}

function since(ms) {
  const first = replay.trail.steps[0];
  const passed = ms - (first.own || first.tokens[0]).at;
  if (passed < 1000) return `+${passed} ms`;
  if (passed < 60000) return `+${(passed / 1000).toFixed(1)} s`;
  const minutes = Math.floor(passed / 60000);
  if (minutes < 60) return `+${minutes} min ${Math.floor((passed % 60000) / 1000)} s`;
  return `+${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
