/** Which problems are shown: a set of filters, the controls that set them, and a chip for each. */

const TITLES = {
  target_plugin: "plugin",
  category: "category",
  rule: "rule",
  file_path: "file",
  status: "status",
  triage: "triage",
  sla: "SLA",
  age: "age",
  opened: "came up",
  severity: "severity",
};
const SLA = { breached: "past due", soon: "due soon", due: "time left" };

class Filters {
  constructor(problems, changed) {
    this.problems = problems;
    this.changed = changed;
    this.set = {};
    this.search = "";
    this.#fillSelects();
    this.#listen();
  }

  /** The rows that pass, in their order. */
  rows() {
    const tests = Object.entries(this.set).map(([name, value]) => this.#test(name, value));
    const words = this.search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    rows: for (let row = 0; row < this.problems.count; row++) {
      for (const test of tests) if (!test(row)) continue rows;
      if (words.length) {
        const text = this.problems.text(row);
        for (const word of words) if (!text.includes(word)) continue rows;
      }
      found.push(row);
    }
    return Int32Array.from(found);
  }

  /** Put `filters` in the place of all there are. */
  replace(filters) {
    this.set = { ...filters };
    this.search = "";
    this.#show();
    this.changed();
  }

  put(name, value) {
    if (value === null || value === "" || (Array.isArray(value) && !value.length)) delete this.set[name];
    else this.set[name] = value;
    this.#show();
    this.changed();
  }

  #test(name, value) {
    const { problems } = this;
    const soon = problems.data.soon;
    switch (name) {
      case "sla": {
        const passes = {
          breached: (left) => left < 0,
          soon: (left) => left >= 0 && left <= soon,
          due: (left) => left >= 0,
        }[value];
        return (row) => passes(problems.left[row]);
      }
      case "age":
        return (row) => problems.bucket(row) === value;
      case "opened": {
        const [from, to] = [Problems.moment(value[0]), Problems.moment(value[1]) + DAY];
        const { codes, values } = problems.columns.opened_at;
        return (row) => values[codes[row]] >= from && values[codes[row]] < to;
      }
      default: {
        const { codes, values } = problems.columns[name];
        const wanted = new Set([value].flat().map((one) => values.indexOf(one)));
        wanted.delete(-1);
        return (row) => wanted.has(codes[row]);
      }
    }
  }

  #fillSelects() {
    for (const select of document.querySelectorAll("[data-select]")) {
      const name = select.dataset.select;
      const options =
        name === "sla"
          ? Object.entries(SLA)
          : [...this.problems.columns[name].values].sort().map((value) => [value, value.replaceAll("_", " ")]);
      select.append(make("option", { value: "" }, "all"));
      for (const [value, label] of options) select.append(make("option", { value }, label));
    }
  }

  #listen() {
    const search = document.getElementById("search");
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        this.search = search.value;
        this.#show();
        this.changed();
      }, 120);
    });
    for (const select of document.querySelectorAll("[data-select]"))
      select.addEventListener("change", () => this.put(select.dataset.select, select.value));
    for (const toggle of document.querySelectorAll("[data-severity]"))
      toggle.addEventListener("click", () => {
        const wanted = new Set(this.set.severity ?? []);
        const severity = toggle.dataset.severity;
        if (!wanted.delete(severity)) wanted.add(severity);
        this.put("severity", this.problems.data.severities.filter((one) => wanted.has(one)));
      });
    document.getElementById("clear").addEventListener("click", () => {
      this.replace({});
      search.focus();
    });
  }

  #show() {
    const search = document.getElementById("search");
    if (search.value !== this.search) search.value = this.search;
    for (const select of document.querySelectorAll("[data-select]"))
      select.value = this.set[select.dataset.select] ?? "";
    for (const toggle of document.querySelectorAll("[data-severity]"))
      toggle.setAttribute("aria-pressed", String((this.set.severity ?? []).includes(toggle.dataset.severity)));
    const chips = Object.entries(this.set).map(([name, value]) =>
      make(
        "li",
        {},
        make(
          "button",
          { type: "button", className: "chip", onclick: () => this.put(name, null) },
          `${TITLES[name]}: `,
          make("bdi", {}, this.#said(name, value)),
          make("span", { ariaHidden: "true", className: "cross" }, "×"),
          make("span", { className: "hidden" }, ", remove"),
        ),
      ),
    );
    document.getElementById("chips").replaceChildren(...chips);
    document.getElementById("clear").hidden = !chips.length && !this.search;
  }

  #said(name, value) {
    if (name === "age") return this.problems.data.ageNames[value];
    if (name === "sla") return SLA[value];
    if (name === "opened") return value[0] === value[1] ? value[0] : `${value[0]} to ${value[1]}`;
    return [value].flat().join(", ").replaceAll(name === "triage" || name === "status" ? "_" : "\0", " ");
  }
}
