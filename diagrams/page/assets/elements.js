// Making elements. Every text of the model is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function make(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** A small line drawing on a button. */
function icon(path) {
  return draw("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: path }));
}

function button(label, press, attributes, ...children) {
  return make("button", { type: "button", onclick: press, ...attributes }, children.length ? children : label);
}

/** A link to another selection of this page. */
function link(parts, attributes, ...children) {
  return make("a", { href: hashOf(parts), ...attributes }, children);
}

function hashOf(parts) {
  return "#" + parts.map((part) => encodeURIComponent(wellFormed(String(part)))).join("/");
}

function wellFormed(text) {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

function code(text, attributes) {
  return make("code", attributes, text);
}

function chip(text, kind) {
  return make("span", { class: `chip ${kind || ""}`.trim() }, text);
}

function section(title, ...children) {
  const inside = children.flat(Infinity).filter(Boolean);
  return inside.length ? make("section", { class: "part" }, make("h3", null, title), inside) : null;
}

function rowOf(edge) {
  return edge.id.split(".")[0];
}

function byId(id) {
  return document.getElementById(id);
}

/** Told to those who listen instead of looking. */
function say(text) {
  byId("said").textContent = text;
}
