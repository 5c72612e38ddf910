// Draws the charts of a page and keeps a live page up to date. Without it every page can be read.

const narrowScreen = matchMedia("(max-width:640px)");
const views = new Map();
let library;

function drawingLibrary() {
  const link = document.querySelector('link[rel="modulepreload"]');
  library ??= link ? import(link.href).then(() => window.vegaEmbed) : Promise.resolve(undefined);
  return library;
}

// What a chart shows comes with the page; it never loads anything.
const loader = { load: () => Promise.reject(new Error("a chart loads nothing")), sanitize: async () => ({}) };
const options = {
  mode: "vega-lite", ast: true, renderer: "svg", actions: false, defaultStyle: false, loader,
  tooltip: { disableDefaultStyle: true, theme: "plain" },
};

async function drawFigure(figure) {
  const width = narrowScreen.matches ? "narrow" : "wide";
  const described = figure.querySelector(`script[data-width="${width}"]`).textContent;
  const place = figure.querySelector(".drawn");
  if (place.dataset.described === described) return;
  const embed = await drawingLibrary().catch(() => undefined);
  if (!embed) return showPicture(figure, place);
  const { $schema, ...spec } = JSON.parse(described);
  views.get(place)?.finalize();
  views.set(place, (await embed(place, spec, options)).view);
  place.dataset.described = described;
  place.querySelector("svg")?.setAttribute("aria-hidden", "true");
}

// Without the library a chart is what it is without scripts: a picture that the server drew.
function showPicture(figure, place) {
  place.innerHTML = figure.querySelector("noscript").textContent;
}

// One after the other: what is being drawn is not taken from under the pen.
let drawing = Promise.resolve();

function drawAll() {
  drawing = drawing.then(async () => {
    const began = performance.now();
    const figures = [...document.querySelectorAll("figure.chart")];
    for (const figure of figures) {
      await drawFigure(figure);
      await new Promise(requestAnimationFrame);
    }
    if (figures.length) document.documentElement.dataset.drawnMs = (performance.now() - began).toFixed(0);
  });
  return drawing;
}

narrowScreen.addEventListener("change", drawAll);
drawAll();

// A page with running jobs: the rows come as HTML of the server's own making.
function followNow(place) {
  const part = (name) => document.querySelector(`[data-live="${name}"]`);
  const source = new EventSource(place.dataset.events);
  source.onmessage = (event) => {
    const { lead, rows } = JSON.parse(event.data);
    const body = part("rows");
    const focused = document.activeElement?.closest("tr")?.dataset.uid;
    body.innerHTML = rows.join("");
    if (focused) body.querySelector(`tr[data-uid="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
    part("lead").innerHTML = lead;
    place.hidden = rows.length === 0;
    part("nothing").hidden = rows.length > 0;
  };
}

// The page of a run that goes on: when there is news the page is read again, never more than a twentieth of the time.
function followRun(place) {
  const source = new EventSource(place.dataset.events);
  let known = Number(place.dataset.known);
  let due = 0;
  let timer;
  let over = false;
  let reading = false;
  let missed = false;
  const read = async () => {
    reading = true;
    missed = false;
    const began = performance.now();
    const answer = await fetch(location.href).catch(() => undefined);
    // Who is not signed in any more is shown that.
    if (answer?.redirected) return location.reload();
    const text = await answer?.text();
    due = performance.now() + Math.max(5000, 20 * (performance.now() - began));
    if (answer?.ok) await replaceMain(text);
    reading = false;
    if (missed) plan();
  };
  const plan = () => {
    missed = reading;
    clearTimeout(timer);
    if (!reading) timer = setTimeout(read, over ? 0 : Math.max(0, due - performance.now()));
  };
  source.onmessage = (event) => {
    const news = JSON.parse(event.data);
    over = !news.running;
    if (over) source.close();
    if (over || news.next_sequence !== known) plan();
    known = undefined;
  };
}

async function replaceMain(text) {
  await drawing;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const opened = [...document.querySelectorAll("main details")].map((one) => one.open);
  const drawn = new Map(
    [...document.querySelectorAll("figure.chart")].map((figure) => [figure.dataset.chart, figure.querySelector(".drawn")]),
  );
  // The old pictures stay until the new ones are drawn.
  for (const figure of fresh.querySelectorAll("figure.chart")) {
    const old = drawn.get(figure.dataset.chart);
    if (old) figure.querySelector(".drawn").replaceWith(old);
  }
  fresh.querySelectorAll("main details").forEach((one, i) => { one.open = opened[i] ?? false; });
  document.title = fresh.title;
  document.querySelector("main").replaceChildren(...fresh.querySelector("main").childNodes);
  await drawAll();
}

for (const place of document.querySelectorAll("[data-events]")) {
  if (place.dataset.events === "/now/events") followNow(place);
  else followRun(place);
}
