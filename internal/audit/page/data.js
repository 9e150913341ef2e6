"use strict";
// What the page shows, and in which words. Text of a log is only ever given to
// the document as text.

const head = JSON.parse(document.getElementById("head").textContent);
const columns = ["verb", "resource", "group", "namespace", "name", "uri", "decision", "reason", "user", "impersonated", "ip", "agent", "cluster", "joinedBy"];
const kinds = ["read", "change", "delete", "denied"];
const readVerbs = new Set(["get", "list", "watch", "head", "options"]);
const deleteVerbs = new Set(["delete", "deletecollection"]);
// These are asked for by get, and do something.
const activeResources = new Set(["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"]);

const actions = JSON.parse(document.getElementById("actions").textContent);
document.getElementById("actions").remove(); // the text is as large as what it became
{
  const last = columns.map(() => "");
  actions.forEach((row, i) => {
    const a = { session: row[0], time: row[1], code: row[2], id: row[3 + columns.length] };
    columns.forEach((name, c) => {
      if (row[3 + c] !== 0) last[c] = row[3 + c];
      a[name] = last[c];
    });
    a.kind = kindOf(a);
    actions[i] = a;
  });
}

const sessions = head.sessions.map((s, i) => ({
  ...s, index: i, start: Date.parse(s.from || s.firstAction), end: Date.parse(s.to || s.lastAction || s.from), own: [],
}));
for (const a of actions) sessions[a.session].own.push(a);
const byTime = actions.slice().sort((a, b) => a.time - b.time);

// extent is the whole time, with a little room.
const extent = (() => {
  let from = Infinity, to = -Infinity;
  for (const s of sessions) {
    if (s.start < from) from = s.start;
    if (s.end > to) to = s.end;
  }
  for (const a of [byTime[0], byTime.at(-1)]) {
    if (a && a.time < from) from = a.time;
    if (a && a.time > to) to = a.time;
  }
  if (!(from <= to)) from = to = Date.parse(head.made);
  const room = Math.max((to - from) / 100, 1000);
  return { from: Math.floor((from - room) / 1000) * 1000, to: Math.ceil((to + room) / 1000) * 1000 };
})();

// kindOf is what an action is drawn as.
function kindOf(a) {
  if (a.decision === "forbid" || a.code === 401 || a.code === 403) return 3;
  if (deleteVerbs.has(a.verb)) return 2;
  return readVerbs.has(a.verb) && !activeResources.has(a.resource) ? 0 : 1;
}

function resourceOf(a) {
  if (!a.resource) return a.uri;
  if (!a.group) return a.resource;
  const [name, ...sub] = a.resource.split("/");
  return [`${name}.${a.group}`, ...sub].join("/"); // as kubectl names it
}

function objectOf(a) {
  return a.namespace ? `${a.namespace}/${a.name}` : a.name;
}

function subjectOf(s) {
  const subject = (s.certificate || {}).subject;
  if (subject) return subject;
  if (s.began) return `no certificate: ${s.assumedRoleArn || s.sessionName || s.accessKeyId} (${s.began})`;
  return s.unknown ? `not in CloudTrail: ${s.assumedRoleArn || s.sessionName || s.accessKeyId || "no session named"}` : s.assumedRoleArn || "no certificate named";
}

// nameOf is the subject's common name, where there is little room.
function nameOf(s) {
  const subject = subjectOf(s);
  const cn = /(?:^|[,+])CN=((?:[^,+\\]|\\.)+)/.exec(subject);
  return cn ? cn[1] : subject;
}

function roleOf(s) {
  return (s.roleArn || "").split("/").pop();
}

// haystack is what the filter's words are looked for in.
function haystack(a) {
  if (a.hay === undefined) {
    a.hay = [a.verb, resourceOf(a), a.resource, objectOf(a), a.code, a.decision, a.reason, a.user, a.impersonated, a.ip, a.agent, a.cluster, a.id].join("\n").toLowerCase();
  }
  return a.hay;
}

function sessionHaystack(s) {
  if (s.hay === undefined) {
    const c = s.certificate || {};
    s.hay = [subjectOf(s), c.serial, c.issuer, s.accessKeyId, s.parentAccessKeyId, s.assumedRoleArn, s.roleArn, s.sessionName, s.sourceIdentity, s.sourceIp, s.userAgent, s.region]
      .join("\n").toLowerCase();
  }
  return s.hay;
}

// clean shows what would not be seen, or would turn the text around it, as an
// escape: \x1b, \u202e, \U000e0041.
function clean(text) {
  return String(text ?? "").replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu, (found) => {
    const code = found.codePointAt(0);
    const [form, digits] = code > 0xffff ? ["U", 8] : code > 0x7f ? ["u", 4] : ["x", 2];
    return `\\${form}${code.toString(16).padStart(digits, "0")}`;
  });
}

// Times: UTC, or those of the browser.
const clock = {
  local: false,
  part(d, name) { return clock.local ? d[`get${name}`]() : d[`getUTC${name}`](); },
  offset(t) { return clock.local ? new Date(t).getTimezoneOffset() * 60000 : 0; },
  zone() { return clock.local ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC"; },
  date(t) {
    const d = new Date(t);
    return [String(clock.part(d, "FullYear")).padStart(4, "0"), two(clock.part(d, "Month") + 1), two(clock.part(d, "Date"))].join("-");
  },
  time(t) {
    const d = new Date(t);
    return [two(clock.part(d, "Hours")), two(clock.part(d, "Minutes")), two(clock.part(d, "Seconds"))].join(":");
  },
  both(t) { return Number.isFinite(t) ? `${clock.date(t)} ${clock.time(t)}` : ""; },
  // What an <input type=datetime-local> holds.
  input(t) { return `${clock.date(t)}T${clock.time(t)}`; },
  parse(text) { return Date.parse(clock.local ? text : `${text}Z`); },
};

function two(n) { return String(n).padStart(2, "0"); }
function number(n) { return Number(n).toLocaleString("en"); }
function counted(n, word) { return `${number(n)} ${word}${n === 1 ? "" : "s"}`; }

// el makes an element; what it holds is elements and text.
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== undefined) node.setAttribute(key, value);
  }
  for (const child of children.flat()) {
    if (child instanceof Node) node.append(child);
    else if (child !== undefined && child !== null && child !== "") node.append(document.createTextNode(clean(child)));
  }
  return node;
}

// lower is the first of the actions, by time, that is not before t.
function lower(list, t) {
  let from = 0, to = list.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (list[middle].time < t) from = middle + 1;
    else to = middle;
  }
  return from;
}

// fit cuts text to a width.
function fit(c, text, width) {
  text = clean(text);
  if (c.measureText(text).width <= width) return text;
  text = text.slice(0, 300);
  while (text && c.measureText(`${text}\u2026`).width > width) text = text.slice(0, -1);
  return `${text}\u2026`;
}
