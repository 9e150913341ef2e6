// The page around the picture: one state, which every control changes and
// update() shows.

const state = {
  from: extent.from, to: extent.to, words: [], deniedOnly: false, lanes: [], hits: [], picked: null, rows: 100, inView: [],
  // shown are the actions of a session that the filter lets through.
  shown: (s) => s.passed,
};
const controls = {};

const chart = new Chart(state, {
  range(from, to) {
    const least = 1000, whole = extent.to - extent.from;
    const span = Math.min(Math.max(to - from, least), whole);
    state.from = Math.max(Math.min(from, extent.to - span), extent.from);
    state.to = state.from + span;
    state.rows = 100;
    updateView();
  },
  pick(session, action) {
    state.picked = session ? { session, action } : null;
    chart.draw();
    showDetails();
  },
  group(group) { filterBy(group.key); },
});

// filter finds what the words and the switch let through.
function filter() {
  const has = (text) => (word) => text.includes(word);
  state.hits = [];
  for (const s of sessions) {
    const text = sessionHaystack(s);
    const rest = state.words.filter((word) => !text.includes(word)); // these must be in the action
    for (const a of s.own) a.passes = (!state.deniedOnly || a.kind === 3) && (rest.length === 0 || rest.every(has(haystack(a))));
    s.passed = s.own.filter((a) => a.passes);
    s.passedDenied = s.passed.reduce((n, a) => n + (a.kind === 3), 0);
    s.matches = s.passed.length > 0 || (rest.length === 0 && !state.deniedOnly);
    for (const a of s.passed) state.hits.push(a);
  }
  state.rows = 100;
  updateView();
}

// updateView shows another part of the time, or another filter.
function updateView() {
  const { from, to } = state;
  const groups = new Map();
  for (const s of sessions) {
    if (!s.matches) continue;
    const i = lower(s.passed, from);
    const acted = i < s.passed.length && s.passed[i].time <= to;
    if (!acted && (s.start > to || s.end < from || state.deniedOnly)) continue;
    const c = s.certificate || {};
    const key = c.serial || s.assumedRoleArn || s.accessKeyId || "";
    const id = `${c.subject}\n${c.issuer}\n${key}`;
    if (!groups.has(id)) groups.set(id, { title: clean(subjectOf(s)) + (c.serial ? clean(`  \u00b7  serial ${short(c.serial)}`) : ""), key, list: [] });
    groups.get(id).list.push(s);
  }
  // A certificate with one session needs no line of its own above it.
  state.lanes = [...groups.values()].flatMap((g) => g.list.length === 1 ? [{ session: g.list[0], title: nameOf(g.list[0]) }]
    : [{ title: g.title, key: g.key, sessions: g.list.length }, ...g.list.map((session) => ({ session }))]);
  state.inView = byTime.slice(lower(byTime, from), lower(byTime, to + 1)).filter((a) => a.passes);
  if (state.picked && !state.lanes.some((l) => l.session === state.picked.session)) state.picked = null;
  const denied = state.inView.reduce((n, a) => n + (a.kind === 3), 0);
  const lanes = state.lanes.reduce((n, l) => n + (l.session ? 1 : 0), 0);
  controls.view.textContent = `${counted(state.inView.length, "action")}, ${number(denied)} denied, in ${counted(lanes, "session")}`;
  controls.from.value = clock.input(from);
  controls.to.value = clock.input(to);
  controls.whole.disabled = from <= extent.from && to >= extent.to;
  chart.lanes.setAttribute("aria-label", `Timeline of ${counted(lanes, "session")}, ${counted(groups.size, "certificate")}`);
  chart.layout();
  showRows();
  showDetails();
}

function short(serial) { return serial.length > 16 ? `${serial.slice(0, 8)}\u2026${serial.slice(-6)}` : serial; }

function filterBy(text) {
  controls.text.value = text;
  setWords();
  controls.text.scrollIntoView({ block: "nearest" });
}

function setWords() {
  state.words = controls.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  filter();
}

// showRows is the table of the actions in view.
function showRows() {
  const body = controls.rows;
  body.replaceChildren(...state.inView.slice(0, state.rows).map((a) => {
    const s = sessions[a.session];
    const cell = (label, text, more) => el("td", { "data-label": label, ...more }, text);
    return el("tr", { class: kinds[a.kind] },
      el("td", { "data-label": "Time" }, el("button", { class: "link", onclick: () => pickRow(a) }, clock.both(a.time))),
      cell("Verb", a.verb, { class: "verb" }), cell("Resource", resourceOf(a)), cell("Object", objectOf(a), { class: "long" }),
      cell("Code", a.code || "", { class: "code" }), cell("Decision", a.kind === 3 ? "denied" : a.decision), cell("User", a.user, { class: "long" }),
      cell("Certificate", subjectOf(s), { class: "long" }), cell("From", a.ip));
  }));
  const left = state.inView.length - state.rows;
  controls.more.hidden = left <= 0;
  controls.more.textContent = `Show ${number(Math.min(left, 500))} more of ${number(left)}`;
  controls.none.hidden = state.inView.length > 0;
}

function pickRow(a) {
  state.picked = { session: sessions[a.session], action: a };
  chart.draw();
  showDetails();
  controls.details.scrollIntoView({ block: "nearest" });
}

// showDetails tells all of what is picked.
function showDetails() {
  const box = controls.details;
  if (!state.picked) {
    box.hidden = true;
    return;
  }
  const { session: s, action: a } = state.picked, c = s.certificate || {};
  const facts = (title, list) => el("div", {}, el("h3", {}, title), el("dl", {}, list.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat()));
  const parts = [];
  if (a) {
    parts.push(facts("Action", [["time", `${clock.both(a.time)} ${clock.zone()}`], ["verb", a.verb], ["resource", resourceOf(a)], ["object", objectOf(a)], ["request", a.uri], ["code", a.code],
      ["decision", a.kind === 3 ? "denied" : a.decision], ["reason", a.reason], ["user", a.user], ["acting as", a.impersonated], ["from", a.ip], ["user agent", a.agent], ["cluster", a.cluster],
      ["audit id", a.id], ["joined by", { accessKeyId: "access key", arn: "role and session name, as the key is not in the log", sessionName: "session name only", none: "nothing" }[a.joinedBy]]]));
  }
  parts.push(facts("Session", [["from", clock.both(s.start)], ["to", clock.both(s.end)], ["access key", s.accessKeyId], ["assumed by", s.parentAccessKeyId], ["role", s.roleArn], ["session name", s.sessionName],
    ["source", s.sourceIp], ["user agent", s.userAgent], ["region", s.region], ["actions", `${number(s.actions)}, ${number(s.denied)} denied`], ["kubernetes users", (s.kubernetesUsers || []).join(", ")],
    ["addresses", (s.addresses || []).join(", ")], ["CloudTrail event", s.eventId]]));
  if (c.subject || c.serial) {
    parts.push(facts("Certificate", [["subject", c.subject], ["serial", c.serial], ["issuer", c.issuer], ["valid", c.notAfter ? `${clock.both(Date.parse(c.notBefore))} \u2013 ${clock.both(Date.parse(c.notAfter))}` : ""],
      ["source identity", s.sourceIdentity]]));
  }
  box.hidden = false;
  box.replaceChildren(el("div", { class: "tools" },
    el("button", { onclick: () => filterBy(s.accessKeyId || s.sessionName || "") }, "Only this session"),
    c.serial ? el("button", { onclick: () => filterBy(c.serial) }, "Only this certificate") : "",
    el("button", { onclick: () => chart.on.range(s.start - 30000, s.end + 30000) }, "Zoom to it"),
    el("button", { class: "quiet", onclick: () => chart.on.pick(null) }, "Close")), el("div", { class: "facts" }, parts));
}

const findingWords = {
  "certificate-from-many-addresses": "One certificate, many addresses", "action-after-certificate-end": "Used after its end", "action-after-revocation": "Used after revocation",
  "session-name-is-not-serial": "Session name is not the serial", "access-key-from-two-addresses": "Access key moved", "denied-burst": "Burst of denials",
};

function findings() {
  const list = head.findings || [];
  if (!list.length) return "";
  return el("details", { class: "card", id: "findings", open: list.length <= 5 }, el("summary", {}, el("h2", {}, "Findings"), el("span", { class: "count" }, number(list.length))),
    el("ul", {}, list.map((f) => {
      const about = (f.accessKeyIds || [])[0] && (f.accessKeyIds || []).length === 1 ? f.accessKeyIds[0] : f.serial || (f.accessKeyIds || [])[0] || f.subject || "";
      return el("li", {}, el("div", {}, el("strong", {}, findingWords[f.kind] || f.kind), el("p", {}, f.detail),
        el("p", { class: "muted" }, [f.subject, f.serial && `serial ${short(f.serial)}`, f.time && clock.both(Date.parse(f.time))].filter(Boolean).join(" \u00b7 "))),
      about ? el("button", { onclick: () => filterBy(about), "aria-label": `Show ${clean(about)}` }, "Show") : "");
    })));
}

function certificates() {
  const list = head.certificates || [];
  const columnsOf = ["Subject", "Serial", "Sessions", "Refused", "Actions", "Denied", "First seen", "Last seen"];
  return el("details", { class: "card", id: "certificates", open: list.length <= 12 }, el("summary", {}, el("h2", {}, "Certificates"), el("span", { class: "count" }, number(list.length))),
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, columnsOf.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, list.map((c) => el("tr", {},
        el("td", { "data-label": "Subject", class: "long" }, el("button", { class: "link", onclick: () => filterBy(c.certificate.serial || c.certificate.subject || "") }, c.certificate.subject || (c.unknown ? "not in CloudTrail" : c.noCertificate ? "no certificate" : "no subject"))),
        el("td", { "data-label": "Serial", title: clean(c.certificate.serial), class: "code" }, short(c.certificate.serial || "")),
        [["Sessions", c.sessions], ["Refused", c.refused], ["Actions", c.actions], ["Denied", c.denied]].map(([label, n]) => el("td", { "data-label": label, class: n && (label === "Denied" || label === "Refused") ? "n bad" : "n" }, number(n || 0))),
        el("td", { "data-label": "First seen" }, clock.both(Date.parse(c.firstSeen))), el("td", { "data-label": "Last seen" }, clock.both(Date.parse(c.lastSeen)))))))));
}

// folded says how many sessions are not here.
function folded() {
  const { noCertificate, unknown } = head.folded;
  return [[noCertificate, "no certificate"], [unknown, "not in CloudTrail"]].filter(([fold]) => fold.actions)
    .map(([fold, why]) => `${counted(fold.actions, "action")} of ${counted(fold.sessions, "session")} of nodes and EKS components (${why}) are not shown. `).join("");
}

function damage() {
  const list = head.damage || [];
  if (!list.length) return "";
  return el("details", { class: "card", id: "damage" }, el("summary", {}, el("h2", {}, "Not read"), el("span", { class: "count" }, number(list.length))),
    el("ul", {}, list.map((d) => el("li", {}, el("div", {}, el("strong", {}, d.file), el("p", {}, d.line ? `${counted(d.count, "line")}, the first is line ${number(d.line)}: ${d.why}` : d.why))))));
}

function build() {
  const denied = actions.reduce((n, a) => n + (a.kind === 3), 0);
  const tile = (label, n, id, bad) => el("div", { class: bad && n ? "tile bad" : "tile", id }, el("dt", {}, label), el("dd", {}, number(n)));
  let soon = 0;
  controls.text = el("input", { id: "text", type: "search", placeholder: "Filter: name, serial, verb, resource, address \u2026", "aria-label": "Filter", spellcheck: "false", autocomplete: "off",
    oninput: () => { clearTimeout(soon); soon = setTimeout(setWords, 120); } });
  controls.denied = el("input", { id: "denied", type: "checkbox", onchange: (e) => { state.deniedOnly = e.target.checked; filter(); } });
  const range = () => {
    const from = clock.parse(controls.from.value), to = clock.parse(controls.to.value);
    if (from < to) chart.on.range(from, to);
    else updateView(); // as they were
  };
  controls.from = el("input", { id: "from", type: "datetime-local", step: "1", "aria-label": "From", onchange: range });
  controls.to = el("input", { id: "to", type: "datetime-local", step: "1", "aria-label": "To", onchange: range });
  controls.whole = el("button", { id: "whole", onclick: () => chart.on.range(extent.from, extent.to) }, "All time");
  controls.view = el("p", { id: "view", role: "status" });
  controls.rows = el("tbody", { id: "rows" });
  controls.more = el("button", { id: "more", hidden: true, onclick: () => { state.rows += 500; showRows(); } });
  controls.none = el("p", { class: "muted pad", hidden: true }, "No action here: another filter or another time.");
  controls.details = el("section", { class: "card", id: "details", hidden: true, "aria-live": "polite", "aria-label": "Details" });
  const zone = el("button", { id: "zone", title: "UTC, or the time of this browser", onclick: () => {
    clock.local = !clock.local;
    page.replaceChildren();
    const { value } = controls.text;
    build();
    controls.text.value = value;
    controls.denied.checked = state.deniedOnly;
    updateView();
  } }, clock.zone());
  page.append(
    el("header", {}, el("div", {}, el("h1", {}, "Audit trail"),
      el("p", { class: "muted" }, `${clock.both(extent.from)} \u2013 ${clock.both(extent.to)} ${clock.zone()}`, head.filter ? ` \u00b7 ${head.filter}` : "", ` \u00b7 made ${clock.both(Date.parse(head.made))} by eks-x509`)),
    el("dl", { id: "tiles" }, tile("certificates", (head.certificates || []).filter((c) => !c.unknown && !c.noCertificate).length, "n-certificates"), tile("sessions", sessions.length, "n-sessions"), tile("actions", actions.length, "n-actions"),
      tile("denied", denied, "n-denied", true), tile("findings", (head.findings || []).length, "n-findings", true))),
    findings(),
    el("section", { class: "card", id: "timeline", "aria-label": "Timeline" },
      el("div", { class: "tools" }, controls.text, el("label", { class: "switch" }, controls.denied, " Denied only"),
        el("span", { class: "times" }, controls.from, "\u2013", controls.to), el("span", { class: "together" },
          el("button", { id: "out", "aria-label": "Zoom out", onclick: () => chart.zoom(2) }, "\u2212"), el("button", { id: "in", "aria-label": "Zoom in", onclick: () => chart.zoom(0.5) }, "+"), controls.whole, zone)),
      el("div", { class: "under" }, controls.view, el("ul", { class: "legend", "aria-label": "Colours" }, [["read", "read"], ["change", "change"], ["delete", "delete"], ["denied", "denied"], ["session", "session"]].map(([kind, word]) => el("li", {}, el("i", { class: `key ${kind}` }), word)))),
      chart.node,
      el("p", { class: "muted keys", id: "keys" }, "Drag to zoom. With the keyboard: \u2191 \u2193 sessions, \u2190 \u2192 actions, + \u2212 0 zoom, < > move.")),
    controls.details, certificates(),
    el("section", { class: "card", id: "actions-table", "aria-label": "Actions" }, el("div", { class: "title" }, el("h2", {}, "Actions")),
      el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["Time", "Verb", "Resource", "Object", "Code", "Decision", "User", "Certificate", "From"].map((name) => el("th", { scope: "col" }, name)))), controls.rows)),
      controls.none, el("div", { class: "pad" }, controls.more)),
    damage(),
    el("footer", { class: "muted" }, `Read: ${counted(head.counts.cloudTrailEvents, "CloudTrail event")}, ${counted(head.counts.kubernetesEvents, "audit event")}; ${number(head.counts.otherEvents || 0)} of users without an AWS session are not shown. ${folded()}This page holds all of it and asks the network for nothing.`));
}

const page = document.getElementById("page");
build();
filter();
