// Search: every state, event, guard, code, effect and row of every machine by name, then by sentence.

const FOUND_MAX = 40;

function searchable(machines) {
  return machines.flatMap((machine) => {
    const entry = (kind, name, sentence) => ({ machine, kind, name, sentence: sentence || "" });
    const { declared } = machine;
    return [
      ...declared.states.map((state) => entry("state", state.name, state.meaning)),
      ...declared.events.map((event) => entry("event", event.name, event.meaning)),
      ...declared.guards.map((guard) => entry("guard", guard.name, guard.sentence)),
      ...[...machine.codes].map(([name, sentence]) => entry("code", name, sentence)),
      ...[...machine.effects].map(([name, sentence]) => entry("effect", name, sentence)),
      ...declared.transitions.map((edge) => entry("edge", edge.id, edge.reason)),
    ];
  });
}

function matching(entries, typed, here) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (entry) => {
    const name = entry.name.toLowerCase();
    const all = `${name} ${name.replaceAll("_", " ")} ${entry.kind} ${entry.sentence.toLowerCase()}`;
    if (!words.every((word) => all.includes(word))) return null;
    const whole = words.join("_");
    const place = name === whole ? 0 : name.startsWith(whole) ? 1 : name.includes(whole) ? 2 : 3;
    return place * 4 + (entry.kind === "edge" ? 2 : 0) + (entry.machine === here ? 0 : 1);
  };
  return entries.map((entry) => [rank(entry), entry]).filter(([place]) => place !== null)
    .sort((one, other) => one[0] - other[0]).map(([, entry]) => entry);
}

function listenToSearch(entries) {
  const input = byId("search");
  const list = byId("found");
  let found = [];
  let at = 0;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const point = (place) => {
    at = (place + found.length) % Math.max(found.length, 1);
    [...list.children].forEach((item, number) => item.setAttribute("aria-selected", String(number === at)));
    const item = list.children[at];
    if (found.length && item) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    }
  };
  const choose = (entry) => {
    close();
    input.blur();
    go([entry.machine.name, entry.kind, entry.name]);
    byId("view").focus({ preventScroll: true });
  };
  const look = () => {
    const all = input.value.trim() ? matching(entries, input.value, page.machine) : [];
    found = all.slice(0, FOUND_MAX);
    list.replaceChildren(...found.map((entry, number) => make("li", { id: `found-${number}`, role: "option", onpointerdown: (event) => { event.preventDefault(); choose(entry); } },
      make("span", { class: `tagged ${entry.kind}` }, entry.kind), make("span", { class: "hit" }, code(entry.name), make("bdi", { class: "quietly" }, entry.sentence)),
      make("span", { class: "of" }, entry.machine.name))));
    if (input.value.trim() && !found.length) list.append(make("li", { class: "nothing", role: "option", "aria-disabled": "true" }, "Nothing of that name or sentence."));
    list.hidden = !input.value.trim();
    input.setAttribute("aria-expanded", String(!list.hidden));
    say(input.value.trim() ? `${all.length} found` : "");
    point(0);
  };
  input.addEventListener("input", look);
  input.addEventListener("focus", () => { input.select(); look(); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const act = { ArrowDown: () => point(at + 1), ArrowUp: () => point(at - 1), Enter: () => found[at] && choose(found[at]), Escape: () => { close(); input.blur(); board.element.focus(); } }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
