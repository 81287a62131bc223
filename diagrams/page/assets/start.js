// The address decides what is shown; everything else only changes the address.

const carried = JSON.parse(byId("model").textContent);
const page = { machines: carried.machines.map(indexed), counts: carried.counts, machine: null, tab: "details" };
const TABS = [["details", "Details"], ["try", "Try it"], ["replay", "Replay"], ["counts", "Counts"]];

/** Go somewhere, with a place in the history. */
function go(parts) {
  const hash = hashOf(parts);
  if (location.hash === hash) route();
  else location.hash = hash;
}

/** Note in the address where we are, without a place in the history. */
function stay(parts) {
  history.replaceState(null, "", hashOf(parts));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}

/** The machine that opens a page of several: the one with most to tell. */
function largest() {
  return page.machines.reduce((most, machine) => (machine.edges.size > most.edges.size ? machine : most));
}

function route() {
  const [name, tab, ...rest] = location.hash.slice(1).split("/").map(decoded);
  const machine = page.machines.find((known) => known.name === name) || page.machine || largest();
  page.machine = machine;
  showSheet(page.machines.indexOf(machine));
  for (const item of byId("machines").children) {
    if (item.dataset.name === machine.name) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  if (tab !== "replay" && replay.trail) stopPlay();
  drawBadges(machine);
  if (tab === "try") {
    setTrial(machine, ...rest);
    show("try", { title: trialTitle(), content: trialPanel(), light: lightTrial });
  } else if (tab === "replay" && replay.trail && machine === replay.machine) {
    showReplay((parseInt(rest[0], 10) || 1) - 1);
  } else if (tab === "counts" && page.counts) {
    show("counts", { title: "counts", content: countsPanel(machine), light: () => [] });
    fitAll();
  } else {
    show("details", about(machine, tab, rest));
  }
}

/** Put a panel on show and light up what belongs to it. */
function show(tab, { title, content, light, keepScroll }) {
  page.tab = tab;
  const view = byId("view");
  const scrolled = keepScroll ? view.scrollTop : 0;
  view.replaceChildren(...content.flat(Infinity).filter(Boolean));
  view.scrollTop = scrolled;
  byId("player").hidden = tab !== "replay";
  for (const item of byId("tabs").children) {
    const chosen = item.dataset.tab === tab;
    filled(item, { "aria-selected": String(chosen), tabindex: chosen ? 0 : -1 }, []);
    if (chosen) view.setAttribute("aria-labelledby", item.id);
  }
  document.title = `${page.machine.name}: ${title} - nutstate`;
  unmark();
  const lit = light();
  if (lit.length) reveal(lit);
}

/** What a press on the drawing selects: a line of text its edge, a wire its edges, a card its state. */
function press(target) {
  const wire = target.closest("[data-edge]");
  const card = target.closest("[data-state]");
  const { machine } = page;
  if (wire) {
    const { source, dest } = wire.dataset;
    const along = (machine.leaving.get(source) || []).filter((edge) => edge.dest === dest);
    const text = target.closest("text")?.textContent.replace(/,$/, "");
    const meant = along.filter((edge) => edge.event === text);
    const edge = meant.length === 1 ? meant[0] : along.length === 1 ? along[0] : null;
    go(edge ? [machine.name, "edge", edge.id] : [machine.name, "wire", source, dest]);
  } else if (card) {
    if (page.tab === "try") go([machine.name, "try", card.dataset.state]);
    else go([machine.name, "state", card.dataset.state]);
  } else if (page.tab === "details") {
    go([machine.name]);
  }
}

function toTab(tab) {
  const selected = location.hash.slice(1).split("/").map(decoded);
  const name = page.machine.name;
  const parts = {
    details: [name], try: [name, "try"], counts: [name, "counts"],
    replay: replay.trail && [replay.machine.name, "replay", replay.at + 1],
  };
  if (tab === "try" && selected[1] === "state") parts.try = [name, "try", selected[2]];
  if (tab === "try" && selected[1] === "edge") {
    const edge = page.machine.edges.get(selected[2]);
    if (edge) parts.try = [name, "try", edge.source, edge.event];
  }
  if (tab === "details" && page.tab === "try") parts.details = [name, "state", trial.state];
  if (tab === "details" && page.tab === "replay") {
    const step = replay.trail.steps[replay.at];
    if (step?.own) parts.details = [name, "state", step.own.to];
  }
  go(parts[tab]);
}

// -- the frame of the page ----------------------------------------------------------------------------

function drawFrame() {
  byId("machines").replaceChildren(...page.machines.map((machine) => link([machine.name], { "data-name": machine.name }, make("bdi", null, machine.name))));
  const shown = TABS.filter(([tab]) => (tab !== "replay" || (replay.trail && replay.machine)) && (tab !== "counts" || page.counts));
  byId("tabs").replaceChildren(...shown.map(([tab, title]) => button(title, () => toTab(tab), { role: "tab", id: `tab-${tab}`, "data-tab": tab, "aria-controls": "view" })));
  byId("tools").replaceChildren(
    button("", () => zoom(1.25), { title: "Larger (+)", "aria-label": "Larger", class: "round" }, icon("M8 3v10M3 8h10")),
    button("", () => zoom(0.8), { title: "Smaller (-)", "aria-label": "Smaller", class: "round" }, icon("M3 8h10")),
    button("Fit", fitAll, { title: "Fit the window (0)" }),
    button("Width", fitWidth, { title: "Fit the width (w)" }),
    button("Guards", toggleDetail, { id: "detail", "aria-pressed": "false", title: "Guards and effects in the drawing (g)" }));
  byId("skip").addEventListener("click", () => byId("view").focus());
}

function toggleDetail() {
  board.detail = board.detail === "events" ? "full" : "events";
  byId("detail").setAttribute("aria-pressed", String(board.detail === "full"));
  route();
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function drawTheme() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
}

function toggleTheme() {
  const dark = !isDark();
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("drawing-dark").media = dark ? "all" : "not all";
  drawTheme();
}

function typing(target) {
  return target instanceof Element && target.closest("input[type=text], select, textarea") !== null;
}

function listenToKeys() {
  const step = 90;
  const keys = {
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fitAll, w: fitWidth, g: toggleDetail,
    "/": () => byId("search").focus(),
    p: () => page.tab === "replay" && togglePlay(),
    Escape: () => go([page.machine.name, ...(page.tab === "details" ? [] : [page.tab])]),
    ArrowUp: () => pan(0, -step), ArrowDown: () => pan(0, step),
    ArrowLeft: () => (page.tab === "replay" ? goStep(replay.at - 1) : pan(-step, 0)),
    ArrowRight: () => (page.tab === "replay" ? goStep(replay.at + 1) : pan(step, 0)),
  };
  const inPanel = new Set(["ArrowUp", "ArrowDown"]);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.target.closest?.("[role=tab]") && event.key.startsWith("Arrow")) return moveTab(event);
    if (inPanel.has(event.key) && event.target.closest?.("#panel")) return;
    if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
    if ((event.key === "Enter" || event.key === " ") && event.target.closest?.("[data-state], [data-edge]") && event.target.closest("#board")) {
      event.preventDefault();
      press(event.target);
      return;
    }
    const act = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function moveTab(event) {
  const tabs = [...byId("tabs").children];
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const next = tabs[(tabs.indexOf(event.target) + by + tabs.length) % tabs.length];
  next.click();
  next.focus();
}

function start() {
  if (carried.trail) setReplay(carried.trail, page.machines);
  if (!replay.machine) replay.trail = null;
  drawFrame();
  drawTheme();
  listenToPointer(press);
  listenToKeys();
  listenToSearch(searchable(page.machines));
  byId("theme").addEventListener("click", toggleTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
  board.element.addEventListener("focusin", (event) => {
    const group = event.target.closest("[data-state], [data-edge]");
    if (group && group.matches(":focus-visible")) reveal([group]);
  });
  board.element.addEventListener("scroll", () => board.element.scrollTo(0, 0));
  window.addEventListener("hashchange", route);
  if (!location.hash && replay.trail) stay([replay.machine.name, "replay", 1]);
  else if (!location.hash && page.counts) stay([largest().name, "counts"]);
  route();
}

globalThis.nutstateReview = Object.freeze({
  machines: page.machines.map((machine) => machine.name),
  decide: (place, state, event, holds) => decide(page.machines[place], state, event, new Map(Object.entries(holds))),
});
start();
