// What a page does more with a script: ages that run, sections that follow the data, charts that answer.
const HEARD_MS = 20000;
const dot = document.getElementById("dot");
let heard = 0;

function age(seconds) {
  if (seconds < 3600) return `${Math.max(0, Math.round(seconds / 60))} min`;
  const hours = seconds / 3600;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} d`;
}

function tick() {
  for (const place of document.querySelectorAll("span[data-known]")) {
    place.textContent = age((Date.now() - Date.parse(place.dataset.known)) / 1000 - 3600);
  }
  const on = Date.now() - heard < HEARD_MS;
  dot?.classList.toggle("on", on);
  const silent = heard && !on ? `no answer since ${new Date(heard).toISOString().slice(11, 16)} UTC` : "";
  if (dot) dot.title = on ? "listening" : silent || "not listening";
  const told = document.getElementById("silent");
  if (told) told.textContent = chosen === "push" ? silent : "";
}

async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  heard = Date.now();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const section of document.querySelectorAll("[data-live]")) {
    const other = section.id ? fresh.getElementById(section.id) : fresh.querySelector("[data-live].cards");
    if (other && !section.contains(document.activeElement)) section.replaceWith(document.importNode(other, true));
  }
  document.getElementById("hour")?.replaceChildren(...(fresh.getElementById("hour")?.childNodes ?? []));
  for (const place of [".state", "main"]) document.querySelector(place).className = fresh.querySelector(place).className;
  ready();
}

function act(name) {
  heard = Date.now();
  if (name === "version" || name === "event" || (name === "resync" && performance.now() > 10000)) renew();
  if (name === "live" && document.querySelector("[data-seconds]")) renew();
}

// one stream per browser: HTTP/1.1 allows six connections to a host, and tabs are many
const channel = "BroadcastChannel" in window ? new BroadcastChannel("regime") : null;
if (channel) channel.onmessage = (message) => act(message.data);

function listen() {
  return new Promise(() => {
    const source = new EventSource("/v1/stream");
    const pass = (name) => { act(name); channel?.postMessage(name); };
    for (const name of ["version", "event", "resync", "stale", "live"]) source.addEventListener(name, () => pass(name));
    source.onopen = () => pass("open");
    setInterval(() => { if (source.readyState === 1) pass("open"); }, 15000);
  });
}
// how a page follows: told by the server, or by asking every so many seconds
const update = document.getElementById("update");
const chosen = localStorage.getItem("regime-update") ?? "push";
if (update) {
  update.value = chosen;
  update.closest("label").hidden = false;
  update.onchange = () => { localStorage.setItem("regime-update", update.value); location.reload(); };
}
if (chosen === "push" && navigator.locks && channel) navigator.locks.request("regime-stream", listen);
else if (chosen !== "off") setInterval(renew, 1000 * (+chosen || 60));

// charts: a crosshair shared by all charts of the page, drag to zoom, double click to go back
const readout = document.createElement("output");
readout.className = "readout";
readout.hidden = true;
document.body.append(readout);

function instant(data, n) {
  const from = Date.parse(data.from), to = Date.parse(data.to);
  return from + (to - from) * n / Math.max(1, data.n - 1);
}

function show(svg, n, x, y) {
  for (const chart of document.querySelectorAll("svg.chart")) {
    const data = chart.regimeData, inner = chart.dataset.width - chart.dataset.left - chart.dataset.right;
    if (!data) continue;
    const m = Math.round(n * (data.n - 1) / Math.max(1, svg.regimeData.n - 1));
    const at = +chart.dataset.left + inner * (m + 0.5) / data.n;
    chart.querySelector(".cross").setAttribute("x1", at);
    chart.querySelector(".cross").setAttribute("x2", at);
  }
  const data = svg.regimeData;
  const lines = data.lines.map((l) => `${l.name}: ${l.values[n] === null ? "not known" : l.values[n].toLocaleString("en", { maximumFractionDigits: data.digits })}`);
  readout.textContent = [`${new Date(instant(data, n)).toISOString().slice(0, 16).replace("T", " ")} UTC`, ...lines].join("\n");
  readout.hidden = false;
  readout.style.left = `${Math.min(x + 14, innerWidth - 220)}px`;
  readout.style.top = `${y + 14}px`;
}

function place(svg, event) {
  const box = svg.getBoundingClientRect(), scale = svg.dataset.width / box.width;
  const inner = svg.dataset.width - svg.dataset.left - svg.dataset.right;
  const share = ((event.clientX - box.left) * scale - svg.dataset.left) / inner;
  return Math.max(0, Math.min(svg.regimeData.n - 1, Math.floor(share * svg.regimeData.n)));
}

function answer(svg) {
  const source = svg.nextElementSibling;
  if (svg.regimeData || source?.type !== "application/json") return;
  svg.regimeData = JSON.parse(source.textContent);
  let began = null, at = svg.regimeData.n - 1;
  svg.addEventListener("pointerdown", (e) => { began = place(svg, e); });
  svg.addEventListener("pointermove", (e) => { at = place(svg, e); show(svg, at, e.clientX, e.clientY); });
  svg.addEventListener("pointerleave", () => { readout.hidden = true; });
  svg.addEventListener("pointerup", (e) => {
    const end = place(svg, e);
    if (began !== null && Math.abs(end - began) > 2 && location.pathname !== "/") zoom(svg.regimeData, Math.min(began, end), Math.max(began, end));
    began = null;
  });
  svg.addEventListener("dblclick", () => history.back());
  svg.addEventListener("keydown", (e) => {
    if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    e.preventDefault();
    at = Math.max(0, Math.min(svg.regimeData.n - 1, at + (e.key === "ArrowLeft" ? -1 : 1)));
    const box = svg.getBoundingClientRect();
    show(svg, at, box.left + box.width / 2, box.top);
  });
}

function zoom(data, first, last) {
  const asked = new URLSearchParams(location.search);
  asked.set("from", new Date(instant(data, first)).toISOString());
  asked.set("to", new Date(instant(data, last) + 3600000).toISOString());
  location.search = asked;
}

function ready() {
  document.querySelectorAll("svg.chart").forEach(answer);
  tick();
}
ready();
setInterval(tick, 10000);
