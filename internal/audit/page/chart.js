// The picture: an overview of all time, and below it one lane a session, under
// its certificate. Only the lanes that show are drawn, and of a lane one mark a
// pixel, so that a hundred thousand actions are as quick as ten.

const heights = [0.45, 0.7, 1, 1]; // of a mark, by kind: not by colour alone

class Chart {
  // state: {from, to, lanes, shown(session), hits}; on: {range, pick}
  constructor(state, on) {
    Object.assign(this, { state, on, pointed: null, drag: null });
    this.overview = el("canvas", { id: "overview", tabindex: "0", role: "img", "aria-label": "All actions over time; drag to choose a part of it" });
    this.axis = el("canvas", { id: "axis", "aria-hidden": "true" });
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.spacer = el("div", { class: "spacer" }, this.canvas);
    this.lanes = el("div", { id: "lanes", tabindex: "0", role: "application", "aria-roledescription": "timeline", "aria-describedby": "keys" }, this.spacer);
    this.tip = el("div", { id: "tip", hidden: true });
    this.node = el("div", { id: "chart" }, this.overview, this.axis, this.lanes, this.tip);
    this.lanes.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(this.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.listen();
  }

  // layout is for another width, or other lanes.
  layout() {
    const width = this.node.clientWidth;
    if (!width) return;
    this.narrow = width < 640;
    this.left = this.narrow ? 8 : Math.min(300, Math.round(width * 0.24));
    this.width = width;
    this.rowHeight = this.narrow ? 34 : 22;
    const total = Math.max(this.state.lanes.length, 1) * this.rowHeight + 6;
    this.visible = Math.min(total, Math.max(200, Math.round(innerHeight * 0.55)));
    this.lanes.style.height = `${this.visible}px`;
    this.spacer.style.height = `${total}px`;
    this.inner = this.lanes.clientWidth || width;
    for (const [canvas, w, h] of [[this.overview, width, 64], [this.axis, width, 26], [this.canvas, this.inner, this.visible]]) {
      const ratio = devicePixelRatio || 1;
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
      canvas.style.width = `${w}px`;
      canvas.style.height = `${h}px`;
    }
    this.draw();
  }

  draw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      if (!this.width) return;
      const style = getComputedStyle(document.documentElement);
      this.colour = (name) => style.getPropertyValue(`--${name}`).trim();
      this.font = style.getPropertyValue("--font");
      this.drawOverview();
      this.drawAxis();
      this.drawLanes();
    });
  }

  get right() { return this.inner - 12; }
  x(t) { return this.left + ((t - this.state.from) / (this.state.to - this.state.from)) * (this.right - this.left); }
  time(x) { return this.state.from + ((x - this.left) / (this.right - this.left)) * (this.state.to - this.state.from); }
  xAll(t) { return this.left + ((t - extent.from) / (extent.to - extent.from)) * (this.right - this.left); }
  timeAll(x) { return extent.from + ((x - this.left) / (this.right - this.left)) * (extent.to - extent.from); }

  context(canvas) {
    const c = canvas.getContext("2d");
    const ratio = devicePixelRatio || 1;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, canvas.width, canvas.height);
    c.textBaseline = "middle";
    c.font = `12px ${this.font}`;
    return c;
  }

  drawOverview() {
    const c = this.context(this.overview), high = 64, base = 56;
    const buckets = Math.max(Math.floor((this.right - this.left) / 3), 1);
    const counts = Array.from({ length: kinds.length }, () => new Uint32Array(buckets));
    for (const a of this.state.hits) {
      const b = Math.min(Math.floor(((a.time - extent.from) / (extent.to - extent.from)) * buckets), buckets - 1);
      counts[a.kind][b]++;
    }
    let most = 1;
    for (let b = 0; b < buckets; b++) most = Math.max(most, counts.reduce((sum, k) => sum + k[b], 0));
    c.fillStyle = this.colour("line");
    c.fillRect(this.left, base, this.right - this.left, 1);
    for (let b = 0; b < buckets; b++) {
      let y = base;
      kinds.forEach((kind, k) => {
        if (!counts[k][b]) return;
        const h = Math.max((counts[k][b] / most) * (base - 6), 1.5);
        c.fillStyle = this.colour(kind);
        c.fillRect(this.left + b * 3, y - h, 2, h);
        y -= h;
      });
    }
    const from = this.xAll(this.state.from), to = this.xAll(this.state.to);
    c.fillStyle = this.colour("veil");
    c.fillRect(this.left, 0, Math.max(from - this.left, 0), high);
    c.fillRect(to, 0, Math.max(this.right - to, 0), high);
    c.fillStyle = this.colour("accent");
    for (const at of [from, to]) {
      c.fillRect(at - 0.75, 2, 1.5, base);
      c.fillRect(at - 3, base / 2 - 6, 6, 14);
    }
    if (!this.narrow) {
      c.fillStyle = this.colour("muted");
      c.fillText("all, by time", 14, base / 2);
    }
  }

  drawAxis() {
    const c = this.context(this.axis);
    c.strokeStyle = this.colour("line");
    c.fillStyle = this.colour("muted");
    let lastDay = "";
    for (const t of this.ticks()) {
      const x = Math.round(this.x(t)) + 0.5;
      c.beginPath();
      c.moveTo(x, 20);
      c.lineTo(x, 26);
      c.stroke();
      const day = clock.date(t);
      const time = clock.time(t).replace(/:00$/, "");
      let text = time;
      if (day !== lastDay) text = this.narrow ? day.slice(5) + (time === "00:00" ? "" : ` ${time}`) : day + (time === "00:00" ? "" : ` ${time}`);
      lastDay = day;
      const wide = c.measureText(text).width;
      if (x + wide / 2 < this.right + 10) c.fillText(text, Math.max(x - wide / 2, this.left), 10);
    }
  }

  ticks() {
    const minute = 60000, hour = 60 * minute, day = 24 * hour;
    const steps = [1000, 5000, 15000, 30000, minute, 5 * minute, 15 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 14 * day, 30 * day, 90 * day, 365 * day];
    const room = (this.state.to - this.state.from) / Math.max((this.right - this.left) / (this.narrow ? 84 : 116), 1);
    const step = steps.find((s) => s >= room) || Math.ceil(room / steps.at(-1)) * steps.at(-1); // years
    const offset = clock.offset(this.state.from);
    const found = [];
    for (let t = Math.ceil((this.state.from - offset) / step) * step + offset; t <= this.state.to; t += step) found.push(t);
    return found;
  }

  drawLanes() {
    const c = this.context(this.canvas), top = this.lanes.scrollTop, { lanes } = this.state;
    c.fillStyle = this.colour("grid");
    for (const t of this.ticks()) c.fillRect(Math.round(this.x(t)), 0, 1, this.visible);
    if (!lanes.length) {
      c.fillStyle = this.colour("muted");
      c.fillText("nothing here: another filter or another time", 14, 14);
    }
    const first = Math.floor(top / this.rowHeight);
    for (let i = first; i < lanes.length && i * this.rowHeight < top + this.visible; i++) {
      const y = i * this.rowHeight - top + 3;
      if (lanes[i].session) this.drawSession(c, lanes[i].session, y, lanes[i].title);
      else this.drawGroup(c, lanes[i], y);
    }
    if (this.drag && this.drag.where === "lanes") {
      c.fillStyle = this.colour("selection");
      c.fillRect(Math.min(this.drag.x, this.drag.now), 0, Math.abs(this.drag.now - this.drag.x), this.visible);
    }
  }

  drawGroup(c, group, y) {
    const x = this.narrow ? 8 : 14, line = y + this.rowHeight - 10;
    c.font = `600 12px ${this.font}`;
    c.fillStyle = this.colour("ink");
    const title = fit(c, group.title, this.right - x - 80);
    c.fillText(title, x, line);
    const after = x + c.measureText(title).width + 10;
    c.font = `12px ${this.font}`;
    c.fillStyle = this.colour("muted");
    c.fillText(counted(group.sessions, "session"), after, line);
  }

  drawSession(c, s, y, title) {
    const picked = this.state.picked && this.state.picked.session === s;
    const lane = { y: this.narrow ? y + 14 : y + 2, h: 15 };
    if (picked) {
      c.fillStyle = this.colour("selection");
      c.fillRect(0, y - 1, this.inner, this.rowHeight);
    }
    c.fillStyle = this.colour("muted");
    const shown = this.state.shown(s);
    const denied = s.passedDenied;
    const start = Number.isFinite(s.start) ? `${clock.date(s.start).slice(5)} ${clock.time(s.start).slice(0, 5)}` : "";
    const words = [s.parentAccessKeyId ? `\u21b3 ${roleOf(s)}` : start, s.sourceIp].filter(Boolean).join("  ");
    let x = this.narrow ? 8 : title ? 14 : 26;
    const line = this.narrow ? y + 6 : y + 10, room = (this.narrow ? this.right : this.left) - 84;
    if (title) {
      c.font = `600 12px ${this.font}`;
      c.fillStyle = this.colour("ink");
      const name = fit(c, title, room - x);
      c.fillText(name, x, line);
      x += c.measureText(name).width + 8;
      c.font = `12px ${this.font}`;
      c.fillStyle = this.colour("muted");
    }
    if (room - x > 30) c.fillText(fit(c, words, room - x), x, line);
    c.textAlign = "right";
    const end = (this.narrow ? this.right : this.left) - 12;
    c.fillText(number(shown.length), end, line);
    if (denied) {
      c.fillStyle = this.colour("denied");
      c.fillText(number(denied), end - c.measureText(number(shown.length)).width - 8, line);
    }
    c.textAlign = "left";
    c.save();
    c.beginPath();
    c.rect(this.left, lane.y - 3, this.right - this.left, lane.h + 6);
    c.clip();
    const from = this.x(s.start), to = Math.max(this.x(s.end), from + 3);
    c.fillStyle = this.colour(s.unknown ? "unknown" : "session");
    c.beginPath();
    c.roundRect(from, lane.y, to - from, lane.h, 3);
    c.fill();
    let lastX = [-9, -9, -9, -9];
    for (let kind = 0; kind < kinds.length; kind++) { // the graver above
      c.fillStyle = this.colour(kinds[kind]);
      for (let i = lower(shown, this.state.from); i < shown.length && shown[i].time <= this.state.to; i++) {
        if (shown[i].kind !== kind) continue;
        const x = Math.round(this.x(shown[i].time));
        if (x - lastX[kind] < 2) continue;
        lastX[kind] = x;
        const h = Math.round(lane.h * heights[kind]);
        c.fillRect(x - 1, lane.y + lane.h - h, 2, h);
        if (kind === 3) c.fillRect(x - 2, lane.y - 2, 4, 4);
      }
    }
    c.restore();
    if (picked && this.state.picked.action) {
      const x = this.x(this.state.picked.action.time);
      c.strokeStyle = this.colour("ink");
      c.lineWidth = 1.5;
      c.strokeRect(x - 4, lane.y - 2.5, 8, lane.h + 5);
    }
  }

  // at is what is under the pointer.
  at(x, y) {
    const lane = this.state.lanes[Math.floor((y + this.lanes.scrollTop - 2) / this.rowHeight)];
    if (!lane) return null;
    if (!lane.session) return { group: lane };
    const shown = this.state.shown(lane.session), near = [];
    if (x > this.left - 4) {
      const from = this.time(x - 4), to = this.time(x + 4);
      for (let i = lower(shown, from); i < shown.length && shown[i].time <= to; i++) near.push(shown[i]);
    }
    const nearest = near.reduce((best, a) => (!best || Math.abs(this.x(a.time) - x) < Math.abs(this.x(best.time) - x) ? a : best), null);
    return { session: lane.session, actions: near, action: nearest };
  }

  listen() {
    const place = (e) => {
      const box = e.currentTarget.getBoundingClientRect();
      return [e.clientX - box.left, e.clientY - box.top];
    };
    this.lanes.addEventListener("pointermove", (e) => {
      const [x, y] = place(e);
      if (this.drag) {
        this.drag.now = Math.max(Math.min(x, this.right), this.left);
        this.draw();
        return;
      }
      this.point(this.at(x, y), x, y + this.lanes.offsetTop);
    });
    this.lanes.addEventListener("pointerleave", () => this.point(null));
    this.lanes.addEventListener("pointerdown", (e) => {
      const [x] = place(e);
      if (e.button || e.pointerType === "touch" || x < this.left || x > this.right) return;
      this.drag = { where: "lanes", x, now: x };
      this.lanes.setPointerCapture(e.pointerId);
    });
    this.lanes.addEventListener("pointerup", () => {
      const { drag } = this;
      this.drag = null;
      if (drag && Math.abs(drag.now - drag.x) > 5) {
        this.dragged = true;
        this.on.range(this.time(Math.min(drag.x, drag.now)), this.time(Math.max(drag.x, drag.now)));
      }
    });
    this.lanes.addEventListener("click", (e) => {
      if (this.dragged) {
        this.dragged = false;
        return;
      }
      const found = this.at(...place(e));
      if (found && found.session) this.on.pick(found.session, found.action);
      else if (found) this.on.group(found.group);
    });
    this.lanes.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.metaKey) return; // it scrolls
      e.preventDefault();
      this.zoom(e.deltaY > 0 ? 1.4 : 1 / 1.4, this.time(place(e)[0]));
    }, { passive: false });
    this.listenOverview(place);
    for (const node of [this.lanes, this.overview]) node.addEventListener("keydown", (e) => this.key(e));
  }

  // listenOverview: dragging chooses a part, or moves the one that is chosen.
  listenOverview(place) {
    const bound = (x) => Math.max(Math.min(x, this.right), this.left);
    this.overview.addEventListener("pointerdown", (e) => {
      if (e.button) return;
      const x = bound(place(e)[0]), from = this.xAll(this.state.from), to = this.xAll(this.state.to);
      const zoomed = this.state.from > extent.from || this.state.to < extent.to;
      let how = "choose", anchor = x;
      if (zoomed && Math.abs(x - from) < 7) [how, anchor] = ["choose", to];
      else if (zoomed && Math.abs(x - to) < 7) [how, anchor] = ["choose", from];
      else if (zoomed && x > from && x < to) how = "move";
      this.drag = { where: "overview", how, anchor, x, from: this.state.from, to: this.state.to };
      this.overview.setPointerCapture(e.pointerId);
    });
    this.overview.addEventListener("pointermove", (e) => {
      const { drag } = this;
      if (!drag || drag.where !== "overview") return;
      const x = bound(place(e)[0]);
      if (drag.how === "move") {
        const by = this.timeAll(x) - this.timeAll(drag.x);
        this.pan(drag.from, drag.to, by);
      } else if (Math.abs(x - drag.anchor) > 3) {
        this.on.range(this.timeAll(Math.min(drag.anchor, x)), this.timeAll(Math.max(drag.anchor, x)));
      }
    });
    this.overview.addEventListener("pointerup", () => { this.drag = null; });
    this.overview.addEventListener("dblclick", () => this.on.range(extent.from, extent.to));
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const span = this.state.to - this.state.from;
    const done = {
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.on.range(extent.from, extent.to),
      "<": () => this.pan(this.state.from, this.state.to, -span / 4), ">": () => this.pan(this.state.from, this.state.to, span / 4),
      ArrowDown: () => this.step(1), ArrowUp: () => this.step(-1), ArrowRight: () => this.stepAction(1), ArrowLeft: () => this.stepAction(-1),
      Escape: () => this.on.pick(null),
    }[e.key];
    if (!done) return;
    if (e.currentTarget === this.overview && e.key.startsWith("Arrow")) {
      if (e.key === "ArrowLeft") this.pan(this.state.from, this.state.to, -span / 4);
      else if (e.key === "ArrowRight") this.pan(this.state.from, this.state.to, span / 4);
      else this.zoom(e.key === "ArrowUp" ? 0.5 : 2);
    } else done();
    e.preventDefault();
  }

  step(by) {
    const { lanes, picked } = this.state;
    let i = picked ? lanes.findIndex((l) => l.session === picked.session) : by > 0 ? -1 : lanes.length;
    for (i += by; i >= 0 && i < lanes.length; i += by) if (lanes[i].session) break;
    if (!lanes[i]) return;
    const y = i * this.rowHeight;
    if (y < this.lanes.scrollTop + this.rowHeight) this.lanes.scrollTop = Math.max(y - this.rowHeight, 0);
    else if (y + this.rowHeight > this.lanes.scrollTop + this.visible) this.lanes.scrollTop = y + this.rowHeight - this.visible + 6;
    this.on.pick(lanes[i].session, null);
  }

  stepAction(by) {
    const { picked, from, to } = this.state;
    if (!picked) return this.step(1);
    const shown = this.state.shown(picked.session).filter((a) => a.time >= from && a.time <= to);
    const i = picked.action ? shown.indexOf(picked.action) + by : by > 0 ? 0 : shown.length - 1;
    if (shown[i]) this.on.pick(picked.session, shown[i]);
  }

  zoom(factor, around = (this.state.from + this.state.to) / 2) {
    const from = around - (around - this.state.from) * factor;
    this.on.range(from, from + (this.state.to - this.state.from) * factor);
  }

  pan(from, to, by) {
    by = Math.max(Math.min(by, extent.to - to), extent.from - from);
    this.on.range(from + by, to + by);
  }

  // point shows, beside the pointer, what it points at.
  point(found, x, y) {
    this.tip.hidden = !found || !found.session;
    this.lanes.classList.toggle("pointed", Boolean(found));
    if (this.tip.hidden) return;
    const s = found.session;
    const lines = found.actions.slice(0, 6).map((a) => el("div", { class: kinds[a.kind] }, `${clock.time(a.time)} ${a.verb} ${resourceOf(a)} ${objectOf(a)}`, a.kind === 3 ? " \u2014 denied" : ""));
    if (found.actions.length > 6) lines.push(el("div", {}, `and ${number(found.actions.length - 6)} more`));
    this.tip.replaceChildren(el("strong", {}, subjectOf(s)), el("div", { class: "muted" }, `${clock.both(s.start)} \u2013 ${clock.both(s.end)}`), ...lines);
    const wide = this.tip.offsetWidth, high = this.tip.offsetHeight;
    this.tip.style.left = `${Math.max(Math.min(x + 14, this.width - wide - 8), 4)}px`;
    this.tip.style.top = `${y + 18 + high > this.node.clientHeight ? Math.max(y - high - 10, 0) : y + 18}px`;
  }
}
