// What every page shares: times in the viewer's zone, the stale banner, keys. It shows what the
// server said and when; it never makes a state up.
(() => {
  "use strict";
  // Fragments come from this server over its own stream, and templates escaped them there. Nothing
  // that is a script can pass: there is no way to make one.
  if (window.trustedTypes && trustedTypes.createPolicy) {
    trustedTypes.createPolicy("default", { createHTML: (html) => html });
  }

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const near = Math.abs(Date.now() - at.getTime()) < 20 * 3600 * 1000;
      const words = "day" in time.dataset ? (near ? today : day) : clock;
      const text = words.format(at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // The stream says something at least every five seconds, or the page is old and says so.
  const QUIET_MS = 12000;
  const banner = document.getElementById("stale");
  let heard = Date.now();
  let over = false;
  let cut = false;

  function fresh() {
    heard = Date.now();
    cut = false;
    if (banner) banner.hidden = true;
  }

  function age() {
    if (over || !banner || !document.querySelector("[sse-connect]")) return;
    const quiet = Date.now() - heard;
    if (quiet < QUIET_MS && !(cut && quiet > 2000)) return;
    banner.hidden = false;
    banner.textContent = `This page is ${Math.round(quiet / 1000)} s old: the server is not heard. It asks again by itself.`;
  }

  // A stream that comes back within seconds however long the server was away: the extension alone
  // waits twice as long each time, a minute at last.
  const AGAIN_MS = 2000;
  class Stream extends EventTarget {
    constructor(url) {
      super();
      this.url = url;
      this.names = new Set();
      this.over = false;
      this.open();
    }

    open() {
      const source = new EventSource(this.url);
      this.source = source;
      source.onopen = (event) => { if (this.onopen) this.onopen(event); };
      source.onerror = (event) => {
        source.close();
        if (this.over) return;
        if (this.onerror) this.onerror(event);
        setTimeout(() => { if (!this.over) this.open(); }, AGAIN_MS);
      };
      for (const name of this.names) this.forward(name);
    }

    forward(name) {
      this.source.addEventListener(name, (event) => this.dispatchEvent(new MessageEvent(name, { data: event.data })));
    }

    addEventListener(name, ...rest) {
      super.addEventListener(name, ...rest);
      if (this.names.has(name)) return;
      this.names.add(name);
      this.forward(name);
    }

    get readyState() { return this.over ? EventSource.CLOSED : EventSource.CONNECTING; }

    close() {
      this.over = true;
      this.source.close();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    localTimes(document);
    if (window.htmx) htmx.createEventSource = (url) => new Stream(url);
  });
  document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
  document.addEventListener("htmx:sseOpen", fresh);
  document.addEventListener("htmx:sseError", () => { cut = true; });
  document.addEventListener("htmx:sseBeforeMessage", fresh);
  document.addEventListener("htmx:sseOpen", (event) => {
    const source = event.detail.source;
    if (source.watched) return;
    source.watched = true;
    source.addEventListener("beat", fresh);
    source.addEventListener("end", () => { fresh(); over = true; source.close(); });
  });
  setInterval(age, 1000);

  // Keys lead where a link or a button leads: nothing works by a key alone.
  let before = "";
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest && event.target.closest("input, textarea, select, [contenteditable]");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && openMenu()) { event.preventDefault(); return; }
    if (field || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "/" && openMenu()) { event.preventDefault(); return; }
    const pair = `${before} ${event.key}`;
    before = event.key === "g" ? "g" : "";
    const go = document.querySelector(`[data-go="${CSS.escape(pair)}"]`) || document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (go) { event.preventDefault(); go.click(); return; }
    if (event.key === "j" || event.key === "k") {
      const rows = [...document.querySelectorAll("[data-row]")];
      const at = rows.indexOf(document.activeElement);
      const next = rows[at + (event.key === "j" ? 1 : -1)] || rows[event.key === "j" ? 0 : rows.length - 1];
      if (next) next.focus();
    }
    if (event.key === "?") {
      const help = document.getElementById("keys");
      if (help && help.showModal) help.showModal();
    }
  });

  // The command menu: pages, services, what is in flight; anything else is a search.
  const menu = document.getElementById("menu");
  const found = document.getElementById("menu-found");
  let entries = [];

  function openMenu() {
    if (!menu || !menu.showModal || menu.open) return Boolean(menu && menu.open);
    const field = document.getElementById("menu-q");
    field.value = "";
    menu.showModal();
    field.focus();
    narrow("");
    fetch("/menu").then((answer) => (answer.ok ? answer.json() : [])).then((known) => { entries = known; narrow(field.value); }).catch(() => {});
    return true;
  }

  function narrow(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = entries.filter((entry) => words.every((word) => entry.name.toLowerCase().includes(word)));
    found.replaceChildren(...fits.slice(0, 12).map((entry) => {
      const line = document.createElement("li");
      const link = document.createElement("a");
      link.href = entry.href;
      link.textContent = entry.name;
      const kind = document.createElement("span");
      kind.className = "quiet small";
      kind.textContent = entry.kind;
      link.append(kind);
      line.append(link);
      return line;
    }));
  }

  if (menu) {
    for (const key of document.querySelectorAll("[data-menu]")) {
      key.hidden = false;
      key.addEventListener("click", openMenu);
    }
    document.getElementById("menu-q").addEventListener("input", (event) => narrow(event.target.value));
    menu.addEventListener("click", (event) => { if (event.target === menu) menu.close(); });
    menu.addEventListener("keydown", (event) => {
      const links = [...found.querySelectorAll("a")];
      const at = links.indexOf(document.activeElement);
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && links.length) { event.preventDefault(); (links[at + step] || document.getElementById("menu-q")).focus(); }
      // A page or a service that fits goes before a search; filters are always a search.
      if (event.key === "Enter" && at < 0 && links.length && !event.target.value.includes(":")) { event.preventDefault(); links[0].click(); }
    });
  }
  for (const key of document.querySelectorAll("[data-print]")) {
    key.hidden = false;
    key.addEventListener("click", () => print());
  }
})();
