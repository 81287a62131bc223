// Live counts: how many operations or tokens were in each state when the page was written.

function numbersOf(machine) {
  const numbers = page.counts?.numbers || {};
  return new Map(Object.entries(Object.hasOwn(numbers, machine.name) ? numbers[machine.name] : {}));
}

function what(machine) {
  return machine.name === "token" ? "tokens" : "operations";
}

function drawBadges(machine) {
  badge([...numbersOf(machine)].map(([state, number]) => [state, number, `${number} ${what(machine)} here`]));
}

function countsPanel(machine) {
  const numbers = numbersOf(machine);
  const total = [...numbers.values()].reduce((sum, number) => sum + number, 0);
  const known = machine.declared.states.filter((state) => state.kind !== "pseudo");
  const strangers = [...numbers].filter(([state]) => !machine.states.has(state));
  return [
    heading("counts", machine.name, [chip(`${total.toLocaleString("en")} ${what(machine)}`)]),
    make("dl", { class: "facts" }, fact("store", page.counts.store), fact("read at", moment(page.counts.at))),
    make("table", { class: "counts" },
      make("thead", null, make("tr", null, make("th", { scope: "col" }, "state"), make("th", { scope: "col", class: "right" }, what(machine)))),
      make("tbody", null,
        known.map((state) => make("tr", { class: numbers.get(state.name) ? "" : "zero", "data-count": state.name },
          make("th", { scope: "row" }, toState(machine, state.name)), make("td", { class: "right" }, (numbers.get(state.name) || 0).toLocaleString("en")))),
        strangers.map(([state, number]) => make("tr", { "data-count": state }, make("th", { scope: "row" }, make("bdi", null, state), " ", chip("not in this table", "refused")), make("td", { class: "right" }, number.toLocaleString("en")))))),
    machine.name === "token" ? worthTables() : null,
    section("Other machines", page.machines.filter((other) => other !== machine && numbersOf(other).size).map((other) =>
      make("p", null, link([other.name, "counts"], null, other.name), ` ${[...numbersOf(other).values()].reduce((sum, number) => sum + number, 0).toLocaleString("en")} ${what(other)}`))),
  ];
}

function worthTables() {
  return Object.entries(page.counts.worth).map(([unit, states]) => section(`Value in ${unit}`,
    make("table", { class: "counts" }, make("tbody", null, Object.entries(states).map(([state, amount]) =>
      make("tr", null, make("th", { scope: "row" }, state), make("td", { class: "right" }, amount.toLocaleString("en"))))))));
}
