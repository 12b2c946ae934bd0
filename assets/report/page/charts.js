/** Draws the charts. Vega interprets its expressions (`ast`): the page forbids `eval`. */

const DRILLS = {
  severity: (datum) => ({ severity: [datum.severity], opened: [datum.first, datum.last] }),
  flow: (datum) => ({ opened: [datum.first, datum.last] }),
  score: (datum) => ({ opened: [datum.first, datum.last] }),
  ages: (datum) => ({ age: datum.bucket, severity: [datum.severity] }),
  map: (datum) => ({ opened: [datum.day, datum.day] }),
};

async function drawCharts(charts, drill) {
  const size = matchMedia("(max-width: 600px)").matches ? { axisX: { tickCount: 4 } } : {};
  await Promise.all(
    Object.entries(charts).map(async ([name, spec]) => {
      const element = document.getElementById(`chart-${name}`);
      const { view } = await vegaEmbed(
        element,
        { ...spec, width: "container", autosize: { type: "fit-x", contains: "padding" } },
        {
          ast: true,
          actions: false,
          renderer: "svg",
          defaultStyle: false,
          config: size,
          tooltip: { disableDefaultStyle: true, theme: "report" },
        },
      );
      view.addEventListener("click", (_event, item) => {
        const datum = item?.datum;
        const filters = datum && (datum.first || datum.day || datum.age) && DRILLS[name](datum);
        if (filters) drill(filters);
      });
      // The figure says what the drawing shows, and its table has the figures.
      element.querySelector("svg")?.setAttribute("aria-hidden", "true");
    }),
  );
}
