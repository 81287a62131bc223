// Live counts: how many operations or tokens were in each state when the page was written.

function numbersOf(machine) {
  const numbers = page.counts?.numbers || {};
  return new Map(Object.entries(Object.hasOwn(numbers, machine.name) ? numbers[machine.name] : {}));
}

function what(machine) {
  return machine.name === "token" ? "tokens" : "operations";
}

function many(number, machine) {
  return `${number.toLocaleString("en")} ${number === 1 ? what(machine).slice(0, -1) : what(machine)}`;
}

function drawBadges(machine) {
  badge([...numbersOf(machine)].map(([state, number]) => [state, number, `${many(number, machine)} here`]));
}

function sumOf(numbers) {
  return [...numbers.values()].reduce((sum, number) => sum + number, 0);
}

function countRow(state, head, numbers) {
  return make("tr", { "data-count": state }, make("th", { scope: "row" }, head), make("td", { class: "right" }, numbers.get(state).toLocaleString("en")));
}

function countsPanel(machine) {
  const numbers = numbersOf(machine);
  const total = sumOf(numbers);
  const known = machine.declared.states.filter((state) => state.kind !== "pseudo");
  const empty = known.filter((state) => !numbers.get(state.name));
  const strangers = [...numbers].filter(([state]) => !machine.states.has(state));
  return [
    heading("counts", machine.name, [chip(many(total, machine))]),
    make("dl", { class: "facts" }, fact("store", page.counts.store), fact("read at", moment(page.counts.at))),
    total ? make("table", { class: "counts" },
      make("thead", null, make("tr", null, make("th", { scope: "col" }, "state"), make("th", { scope: "col", class: "right" }, what(machine)))),
      make("tbody", null,
        known.filter((state) => numbers.get(state.name)).map((state) => countRow(state.name, toState(machine, state.name), numbers)),
        strangers.map(([state]) => countRow(state, [make("bdi", null, state), " ", chip("not in this table", "refused")], numbers)))) : null,
    section("Nothing in", empty.length ? make("p", { class: "list" }, empty.map((state) => [toState(machine, state.name), " "])) : null),
    machine.name === "token" ? worthTables() : null,
    section("Other machines", page.machines.filter((other) => other !== machine && numbersOf(other).size).map((other) =>
      make("p", null, link([other.name, "counts"], null, other.name), ` ${many(sumOf(numbersOf(other)), other)}`))),
  ];
}

function worthTables() {
  return Object.entries(page.counts.worth).map(([unit, states]) => section(`Value in ${unit}`,
    make("table", { class: "counts" }, make("tbody", null, Object.entries(states).map(([state, amount]) =>
      make("tr", null, make("th", { scope: "row" }, state), make("td", { class: "right" }, amount.toLocaleString("en"))))))));
}
