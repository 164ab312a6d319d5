// SPDX-License-Identifier: MIT
"use strict";

const SHOWN_MESSAGES = 60;
const SIDES = ["a", "b"];
const $ = (id) => document.getElementById(id);
const sideOf = (name) => document.querySelector(`.side[data-side="${name}"]`);
const messages = new Map();
const arrived = new Set();

const KINDS = { parcel: "Parcel", cargo: "Cargo", cca: "Collection authorisation", "cargo-item": "Item in cargo" };
const ACTIONS = {
  stored: "safe at", replaced: "replaced at", duplicate: "known already at", "handed-on": "handed on by",
  postponed: "to be tried again by", refused: "refused, told to", dropped: "dropped by",
  offered: "left in a cargo from", acknowledged: "acknowledged to", unpacked: "unpacked by",
};
const WAYS = { poweb: "PoWeb", pohttp: "PoHTTP", cogrpc: "CogRPC", cargo: "in cargo" };
const BAD = new Set(["postponed", "refused", "dropped"]);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function nodeName(name) {
  const [kind, side] = name.split("-");
  const label = { app: "App", gateway: "Private gateway", igw: "Internet gateway" }[kind] || name;
  return side ? `${label} ${side.toUpperCase()}` : label[0].toUpperCase() + label.slice(1);
}

function countOf(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function messagesAt(count) {
  return countOf(count, "message", "messages");
}

function describe(node) {
  if (!node.runs) return "does not run";
  const s = node.status;
  if (!s) return "runs";
  if ("online" in s) return `${s.online ? "on-line" : "off-line"}, out: ${messagesAt(s.outgoing.items)}, in: ${messagesAt(s.incoming.items)}`;
  if ("to_internet" in s) return `to the Internet: ${messagesAt(s.to_internet.items)}, for collection: ${messagesAt(s.to_private_gateways.items)}`;
  return "runs";
}

function fill(place, node) {
  place.classList.toggle("down", !node.runs);
  place.replaceChildren(element("b", nodeName(node.name)), element("span", describe(node)));
}

function showState(state) {
  const nodes = Object.fromEntries(state.nodes.map((node) => [node.name, node]));
  const links = Object.fromEntries(state.links.map((link) => [link.name, link]));
  for (const name of SIDES) {
    const side = sideOf(name);
    for (const role of ["app", "gateway", "igw"]) {
      fill(side.querySelector(`[data-role="${role}"]`), nodes[`${role}-${name}`]);
    }
    const link = links[`internet-${name}`];
    const button = side.querySelector(".switch");
    side.querySelector(".link").classList.toggle("cut", link.cut);
    button.setAttribute("aria-checked", String(!link.cut));
    button.querySelector(".state").textContent = link.cut ? "cut" : "whole";
    side.querySelector(".octets").textContent = `${link.octets.toLocaleString()} octets crossed`;
  }
  const load = nodes.courier.status;
  $("courier-load").textContent = load
    ? `on board: ${countOf(load.to_internet_gateways.items, "cargo", "cargoes")} for the Internet, ${load.to_private_gateways.items} for the devices`
    : "nothing on board";
  setText("courier-place", state.courier || "at rest");
  setBusy("courier-button", Boolean(state.courier));
  setBusy("ping-button", state.pinging);
  setText("ping-state", state.pinging ? "A ping is on its way …" : "");
  const pong = element("li", undefined, "node");
  fill(pong, nodes.pong);
  $("internet-nodes").replaceChildren(pong);
  setText("backbone", `${links.backbone.octets.toLocaleString()} octets passed between Pong and the Internet gateways`);
}

/* A button that were disabled would lose the keyboard's focus; this one stays, and does nothing. */
function setBusy(id, busy) {
  $(id).setAttribute("aria-disabled", String(busy));
}

function isBusy(id) {
  return $(id).getAttribute("aria-disabled") === "true";
}

/* What is announced is announced again whenever it is written: only write what is new. */
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function showHop(hop) {
  if (!hop.message_id) return;
  let shown = messages.get(hop.message_id);
  if (!shown) {
    const item = element("li");
    const steps = element("ol");
    const size = element("span", hop.size ? `${hop.size.toLocaleString()} octets` : "", "hint");
    item.append(element("b", `${KINDS[hop.kind] || hop.kind} ${hop.message_id.slice(0, 8)}`), " ", size, steps);
    shown = { item, steps };
    messages.set(hop.message_id, shown);
    if (messages.size > SHOWN_MESSAGES) {
      const [oldest, entry] = messages.entries().next().value;
      entry.item.remove();
      messages.delete(oldest);
    }
    $("messages").prepend(item);
  }
  addStep(shown.steps, hop);
}

/* Nodes tell in their own time: each step goes where its time says, and a time stands once. */
function addStep(steps, hop) {
  const bad = BAD.has(hop.action);
  const way = WAYS[hop.way] ? ` (${WAYS[hop.way]})` : "";
  const reason = hop.reason ? `: ${hop.reason.replace(/^1 items$/, "1 item")}` : "";
  const step = element("li", undefined, bad ? "bad" : "");
  const time = element("time", new Date(hop.at).toLocaleTimeString([], { hourCycle: "h23" }));
  time.dateTime = hop.at;
  step.append(time, `${ACTIONS[hop.action] || hop.action} ${nodeName(hop.node)}${way}${reason}`);
  const earlier = [...steps.children].reverse().find((other) => other.firstChild.dateTime <= hop.at);
  if (earlier) earlier.after(step);
  else steps.prepend(step);
  for (const one of [step, step.nextSibling]) {
    const before = one && one.previousSibling;
    if (one) one.firstChild.classList.toggle("again", Boolean(before) && before.firstChild.textContent === one.firstChild.textContent);
  }
}

function showChat(event) {
  const list = sideOf(event.side).querySelector(".chat");
  const text = event.said || event.received;
  const line = element("li", text.text, event.said ? "own" : "other");
  if (event.said) {
    line.dataset.message = text.id;
    line.append(" ", element("small", arrived.has(text.id) ? "arrived" : "on its way"));
  } else {
    markArrived(text.id);
  }
  list.append(line);
  list.scrollTop = list.scrollHeight;
}

function markArrived(id) {
  arrived.add(id);
  const mark = document.querySelector(`[data-message="${CSS.escape(id)}"] small`);
  if (mark) mark.textContent = "arrived";
}

function showPing(ping) {
  const text = ping.milliseconds === null ? `no answer: ${ping.problem || ""}` : `answered after ${Math.round(ping.milliseconds)} ms`;
  $("pings").prepend(element("li", text));
}

function showProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function showPicture(picture) {
  messages.clear();
  for (const list of [$("messages"), $("pings"), ...document.querySelectorAll(".chat")]) list.replaceChildren();
  showState(picture.state);
  picture.hops.forEach(showHop);
  picture.pings.forEach(showPing);
  for (const side of SIDES) for (const event of picture.chats[side]) showChat({ side, ...event });
}

async function order(path, body) {
  showProblem("");
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    if (!answer.ok) showProblem((await answer.json()).message);
    return answer.ok;
  } catch {
    showProblem("The program does not answer.");
    return false;
  }
}

function build() {
  for (const name of SIDES) {
    const side = sideOf(name);
    const other = name === "a" ? "B" : "A";
    side.append($("side-template").content.cloneNode(true));
    side.querySelector("h2").textContent = `Device ${name.toUpperCase()} and its Internet gateway`;
    side.querySelector(".switch .name").textContent = `Internet link ${name.toUpperCase()}`;
    side.querySelector("h3").textContent = `Chat of ${name.toUpperCase()} with ${other}`;
    side.querySelector(".chat").setAttribute("aria-label", `Texts on device ${name.toUpperCase()}`);
    side.querySelector(".switch").addEventListener("click", (event) => {
      order(`link/${name}`, { cut: event.currentTarget.getAttribute("aria-checked") === "true" });
    });
    const input = side.querySelector("input");
    input.setAttribute("aria-label", `Text from ${name.toUpperCase()} to ${other}`);
    input.placeholder = `Write to ${other}`;
    side.querySelector(".say").addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = input.value;
      input.value = "";
      if (!(await order(`chat/${name}`, { text })) && !input.value) input.value = text;
    });
  }
  for (const what of ["courier", "ping"]) {
    const button = `${what}-button`;
    $(button).addEventListener("click", () => { if (!isBusy(button)) order(what, {}); });
  }
}

function listen() {
  const events = new EventSource("events");
  const on = (kind, show) => events.addEventListener(kind, (event) => show(JSON.parse(event.data)));
  events.addEventListener("open", () => setText("connection", "connected, live"));
  events.addEventListener("error", () => setText("connection", "the program does not answer; trying again"));
  on("picture", showPicture);
  on("state", showState);
  on("hop", showHop);
  on("chat", showChat);
  on("ping", showPing);
  on("problem", showProblem);
}

history.replaceState(null, "", "/");
build();
listen();
