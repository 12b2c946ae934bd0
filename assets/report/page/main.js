/** Puts the page together. */

function theme() {
  const select = document.getElementById("theme");
  const apply = () => {
    if (select.value) document.documentElement.dataset.theme = select.value;
    else delete document.documentElement.dataset.theme;
  };
  select.addEventListener("change", apply);
  apply();
}

async function main() {
  theme();
  const manifest = document.getElementById("manifest-text");
  manifest.textContent = document.getElementById("manifest").textContent;
  const data = await readData(document.getElementById("data"));
  const problems = new Problems(data);
  const details = new Details(problems, (filters) => drill(filters));
  const table = new Table(problems, (row) => details.open(row));
  const count = document.getElementById("count");
  const filters = new Filters(problems, () => {
    const rows = filters.rows();
    table.show(rows);
    count.textContent =
      rows.length === problems.count
        ? `${grouped(rows.length)} problems`
        : `${grouped(rows.length)} of ${grouped(problems.count)} problems`;
  });
  const drill = (wanted) => {
    filters.replace(wanted);
    const section = document.getElementById("problems");
    const smooth = matchMedia("(prefers-reduced-motion: no-preference)").matches;
    section.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block: "start" });
    section.focus({ preventScroll: true });
  };
  for (const button of document.querySelectorAll("[data-drill]"))
    button.addEventListener("click", () => drill(JSON.parse(button.dataset.drill)));
  filters.replace({});
  await drawCharts(data.charts, drill);
  document.documentElement.dataset.ready = "true";
}

main().catch((error) => {
  const failure = document.getElementById("failure");
  failure.textContent = `This page could not be shown: ${error}. It needs a browser of 2023 or later.`;
  failure.hidden = false;
});
