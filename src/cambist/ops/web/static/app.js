// What pages do in the browser besides links and forms: live fragments, countdowns, keys, dialogs, charts, the theme. No framework, nothing from elsewhere.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const typing = (at) => at && (at.matches("input:not([type=radio]):not([type=checkbox]), textarea, select") || at.isContentEditable);

  // ------------------------------------------------------------------ time: the server's, by the difference to ours
  let ahead = 0;                                        // ms the server's clock is ahead of this one
  const setClock = (ns) => { ahead = Number(ns) / 1e6 - Date.now(); };
  const now = () => Date.now() + ahead;

  function tick() {
    const at = now();
    for (const each of $$("[data-until]")) {
      const left = Number(each.dataset.until) / 1e6 - at;
      const words = left > 0 ? `${(left / 1000).toFixed(1)} s` : each.dataset.after;
      if (each.textContent !== words) each.textContent = words;
      each.classList.toggle("soon", left > 0 && left < 3000);
      each.classList.toggle("over", left <= 0);
      if (left <= 0 && each.dataset.disables) for (const button of $$(each.dataset.disables)) button.disabled = true;
    }
    const wall = $("#wall");
    if (wall) wall.textContent = new Date(at).toISOString().slice(11, 19);
  }

  // ------------------------------------------------------------------ live fragments
  const SILENCE = 25000;                                // ms without a word, the beat included: the line is dead
  let source = null, heard = 0, last = "";

  function line(state, words) {
    const shown = $("#line");
    if (!shown || shown.dataset.state === state) return;
    shown.dataset.state = state;
    $(".line-word", shown).textContent = words;
    document.body.classList.toggle("stale", state === "lost");
  }

  // The line is as alive as what it tells: an element with data-stale="words" says what is not.
  function alive() {
    const stale = $("[data-stale]");
    if (stale) line("lost", stale.dataset.stale); else line("live", "live");
  }

  function connect() {
    const root = $("[data-live]");
    if (!root || source) return;
    const path = root.dataset.live;
    source = new EventSource(last ? `${path}${path.includes("?") ? "&" : "?"}after=${last}` : path);
    const on = (name, act) => source.addEventListener(name, (event) => {
      heard = Date.now();
      last = event.lastEventId || last;
      act(JSON.parse(event.data));
      alive();
    });
    on("beat", (told) => setClock(told.now));
    on("note", (told) => toast(told.tone, told.words, told.link));
    on("reload", () => location.reload());
    on("fragments", async (told) => {
      setClock(told.now);
      for (const [id, html] of Object.entries(told.html)) {
        const target = document.getElementById(id);
        if (target) await window.htmx.swap({ target, sourceElement: target, text: html, swap: "innerMorph" });
      }
      tick();
      charts();
      alive();
    });
    source.onerror = () => {
      line("lost", "not live");
      if (source && source.readyState === EventSource.CLOSED) { disconnect(); setTimeout(connect, 3000); }
    };
  }

  function disconnect() { if (source) source.close(); source = null; }

  function watch() {
    if (source && heard && Date.now() - heard > SILENCE) { line("lost", "not live"); disconnect(); heard = 0; connect(); }
  }

  // ------------------------------------------------------------------ messages
  function toast(tone, words, link) {
    const box = document.createElement("div"), text = document.createElement(link ? "a" : "span"), close = document.createElement("button");
    box.className = `toast ${["good", "bad"].includes(tone) ? tone : ""}`;
    text.textContent = words;
    if (link && link.startsWith("/")) text.href = link;
    close.type = "button"; close.className = "quiet"; close.dataset.dismiss = ""; close.textContent = "×"; close.setAttribute("aria-label", "Dismiss");
    box.append(text, close);
    $("#toasts").append(box);
    while ($$("#toasts > *").length > 4) $("#toasts").firstElementChild.remove();
    setTimeout(() => box.remove(), tone === "bad" ? 20000 : 8000);
  }

  // ------------------------------------------------------------------ charts: data of #x-data[data-chart=x] into figure #x
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function charts() {
    for (const data of $$("[data-chart]")) {
      const figure = document.getElementById(data.dataset.chart);
      if (!figure || !window.uPlot) continue;
      const old = drawn.get(figure.id), points = data.dataset.points;
      if (old && old.points === points) continue;
      const series = JSON.parse(points);
      if (old) { old.plot.setData(series); old.points = points; continue; }
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "11px system-ui" };
      const plot = new window.uPlot({
        width: figure.clientWidth, height: Number(figure.dataset.height), tzDate: (at) => window.uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
        cursor: { y: false, drag: { x: false, y: false } }, legend: { show: false },
        axes: [{ ...axis, size: 26 }, { ...axis, side: 1, size: 72, values: (_, ticks) => ticks.map((v) => v.toLocaleString("en", { maximumFractionDigits: 5 })) }],
        series: [{}, { label: figure.dataset.label, stroke: colour("--accent"), width: 1.5, points: { show: false } }],
      }, series, figure);
      drawn.set(figure.id, { plot, points });
    }
  }

  function redraw() {
    for (const { plot } of drawn.values()) plot.destroy();
    drawn.clear();
    charts();
  }

  // ------------------------------------------------------------------ keys
  let going = 0;

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const at = document.activeElement;
    if (event.key === "Escape" && typing(at)) { at.blur(); return; }
    if (typing(at) || $("dialog[open]")) return;
    if (going && Date.now() - going < 1500) {
      going = 0;
      const there = $(`[data-go="${CSS.escape(event.key)}"]`);
      if (there) { event.preventDefault(); there.click(); return; }
    }
    if (event.key === "g") { going = Date.now(); return; }
    if (event.key === "?") { event.preventDefault(); open("keys"); return; }
    if (event.key === "/") {
      const first = $("[data-search]") || $("main input:not([type=hidden]):not([type=radio]), main select");
      if (first) { event.preventDefault(); first.focus(); if (first.select) first.select(); }
      return;
    }
    if (event.key === "Enter" && at && at.matches("a, button, summary, [role=button], input")) return;
    const one = $$(`[data-key="${CSS.escape(event.key)}"]`).find((each) => !each.disabled && each.offsetParent);
    if (one) { event.preventDefault(); if (typing(one)) one.focus(); else one.click(); }
  }

  function open(id) {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.open) return;
    const here = $("#keys-here");
    if (id === "keys" && here) here.replaceChildren(...$$("[data-key]").filter((each) => each.offsetParent).map((each) => {
      const row = document.createElement("div"), key = document.createElement("dt"), what = document.createElement("dd"), cap = document.createElement("kbd");
      cap.textContent = each.dataset.key; what.textContent = each.dataset.keyLabel || each.textContent.trim();
      key.append(cap); row.append(key, what);
      return row;
    }));
    dialog.showModal();
  }

  // A choice that leads to another page: data-leads="/request?instrument=", data-keeps names fields of the form that go along.
  document.addEventListener("change", (event) => {
    const at = event.target;
    if (!at.dataset || !at.dataset.leads) return;
    const fields = at.form ? new FormData(at.form) : new FormData();
    const kept = (at.dataset.keeps || "").split(" ").filter((name) => fields.get(name)).map((name) => `&${name}=${encodeURIComponent(fields.get(name))}`);
    location.assign(at.dataset.leads + encodeURIComponent(at.value) + kept.join(""));
  });
  document.addEventListener("keydown", press);
  document.addEventListener("click", (event) => {
    const at = event.target.closest("[data-opens], [data-closes], [data-dismiss], [data-theme-toggle]");
    if (!at) return;
    if ("opens" in at.dataset) open(at.dataset.opens);
    else if ("closes" in at.dataset) at.closest("dialog").close();
    else if ("dismiss" in at.dataset) at.closest(".toast").remove();
    else {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      document.cookie = `cambist_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Strict${location.protocol === "https:" ? "; Secure" : ""}`;
      redraw();
    }
  });
  // A form goes out once; the server answers the same id the same way in any case.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.matches("[hx-post]")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, 4000);
  });
  window.addEventListener("pageshow", () => { for (const form of $$("form[data-sent]")) delete form.dataset.sent; });
  document.addEventListener("visibilitychange", () => { if (document.hidden) { disconnect(); heard = 0; } else connect(); });
  window.addEventListener("pagehide", disconnect);
  let sized = 0;
  window.addEventListener("resize", () => { clearTimeout(sized); sized = setTimeout(redraw, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  setClock($("meta[name=cambist-now]").content);
  tick();
  charts();
  connect();
  setInterval(tick, 100);
  setInterval(watch, 2000);
})();
