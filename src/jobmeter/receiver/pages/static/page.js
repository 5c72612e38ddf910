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
  const embed = await drawingLibrary();
  if (!embed) return;
  const { $schema, ...spec } = JSON.parse(described);
  views.get(place)?.finalize();
  views.set(place, (await embed(place, spec, options)).view);
  place.dataset.described = described;
  place.querySelector("svg")?.setAttribute("aria-hidden", "true");
}

export async function drawAll() {
  const began = performance.now();
  const figures = [...document.querySelectorAll("figure.chart")];
  for (const figure of figures) {
    await drawFigure(figure);
    await new Promise(requestAnimationFrame);
  }
  if (figures.length) document.documentElement.dataset.drawnMs = (performance.now() - began).toFixed(0);
}

narrowScreen.addEventListener("change", drawAll);
drawAll();
