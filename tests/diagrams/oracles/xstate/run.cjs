// Answers questions with XState. Standard input: {library, charts: [{config, questions}]}.
"use strict";

const input = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const { createMachine, transition } = require(input.library);

function holds(guard, answers) {
  if (typeof guard === "string") {
    if (!(guard in answers)) throw new Error(`nobody asked for ${guard}`);
    return answers[guard] === true;
  }
  if (guard.type === "not") return !holds(guard.params.guard, answers);
  if (guard.type === "and") return guard.params.guards.every((one) => holds(one, answers));
  throw new Error(`unknown guard ${JSON.stringify(guard)}`);
}

function machineOf(config) {
  const guards = {
    and: ({ event }, params) => holds({ type: "and", params }, event.answers),
    not: ({ event }, params) => holds({ type: "not", params }, event.answers),
  };
  for (const name of Object.keys(config.meta.guards)) {
    guards[name] = ({ event }) => holds(name, event.answers);
  }
  return createMachine(config).provide({ guards });
}

function answer(machine, question) {
  const before = machine.resolveState({ value: question.state });
  const event = { type: question.event, answers: question.answers };
  const enabled = machine.getTransitionData(before, event);
  if (enabled.length > 1) throw new Error("two transitions at once");
  const [after, actions] = transition(machine, before, event);
  return {
    state: after.value,
    effects: actions.map((action) => action.type),
    meta: enabled.length ? enabled[0].meta : null,
  };
}

const answers = input.charts.map(({ config, questions }) => {
  const machine = machineOf(config);
  return questions.map((question) => answer(machine, question));
});
process.stdout.write(JSON.stringify(answers));
