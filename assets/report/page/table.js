/** The table: only the rows that can be seen, and some above and below them, are elements. */

const BEYOND = 12; // rows above and below
const PRINTED = 100; // rows on paper

const COLUMNS = [
  { name: "severity", title: "Severity" },
  { name: "description", title: "Problem" },
  { name: "target_plugin", title: "Plugin" },
  { name: "rule", title: "Rule" },
  { name: "status", title: "Status" },
  { name: "age", title: "Age", number: true },
  { name: "left", title: "SLA", number: true },
];

class Table {
  constructor(problems, open) {
    this.problems = problems;
    this.open = open;
    this.box = document.getElementById("rows");
    this.table = document.getElementById("table");
    this.body = this.table.tBodies[0];
    this.rows = new Int32Array();
    this.sort = { name: "severity", down: false };
    this.printing = false;
    this.ranks = {};
    this.#head();
    this.height = 0;
    this.box.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.#move(event));
    addEventListener("resize", () => this.#measure());
    addEventListener("beforeprint", () => this.#print(true));
    addEventListener("afterprint", () => this.#print(false));
  }

  show(rows) {
    this.rows = rows;
    this.#order();
    this.box.scrollTop = 0;
    this.#measure();
  }

  #head() {
    this.heads = COLUMNS.map((column) => {
      const button = make("button", { type: "button", onclick: () => this.#sortBy(column.name) }, column.title);
      const head = make("th", { scope: "col", className: `${column.name}${column.number ? " number" : ""}` }, button);
      return head;
    });
    this.table.tHead.rows[0].append(...this.heads);
  }

  #sortBy(name) {
    this.sort = { name, down: this.sort.name === name ? !this.sort.down : false };
    this.#order();
    this.box.scrollTop = 0;
    this.#draw(true);
  }

  #order() {
    const { name, down } = this.sort;
    const rank = this.#rank(name);
    const sign = down ? -1 : 1;
    const sorted = Array.from(this.rows);
    // What has no value comes last, either way; equal ones stay the worst first.
    sorted.sort((a, b) => {
      const [x, y] = [rank[a], rank[b]];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return (x - y) * sign || a - b;
    });
    this.rows = Int32Array.from(sorted);
    COLUMNS.forEach((column, place) => {
      const order = column.name === name ? (down ? "descending" : "ascending") : "none";
      this.heads[place].setAttribute("aria-sort", order);
    });
  }

  /** A number for each row that it is sorted by. */
  #rank(name) {
    const { problems } = this;
    if (name === "age") return problems.age;
    if (name === "left") return problems.left;
    if (this.ranks[name]) return this.ranks[name];
    const { codes, values } = problems.columns[name];
    const known = name === "severity" ? problems.data.severities : [...values].sort((a, b) => (a < b ? -1 : 1));
    const place = new Map(known.map((value, index) => [value, index]));
    return (this.ranks[name] = Float64Array.from(codes, (code) => (code < 0 ? NaN : place.get(values[code]))));
  }

  #measure() {
    this.body.replaceChildren();
    if (this.rows.length) {
      this.body.append(this.#row(0));
      this.height = this.body.rows[0].getBoundingClientRect().height || 1;
    }
    this.#draw(true);
  }

  #draw(anew = false) {
    const count = this.rows.length;
    const seen = Math.ceil(this.box.clientHeight / this.height) || 0;
    let from = Math.max(0, Math.floor(this.box.scrollTop / this.height) - BEYOND);
    let to = Math.min(count, from + seen + 2 * BEYOND);
    if (this.printing) [from, to] = [0, Math.min(count, PRINTED)];
    if (!anew && from === this.from && to === this.to) return;
    [this.from, this.to] = [from, to];
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").place : null;
    const rows = [];
    for (let place = from; place < to; place++) rows.push(this.#row(place));
    const below = this.printing ? 0 : count - to;
    this.body.replaceChildren(...this.#space(from), ...rows, ...this.#space(below));
    if (focused !== null && focused >= from && focused < to) this.#button(focused)?.focus({ preventScroll: true });
    this.table.setAttribute("aria-rowcount", String(count + 1));
    this.box.hidden = !count;
    document.getElementById("nothing").hidden = Boolean(count);
  }

  #space(rows) {
    if (!rows) return [];
    const cell = make("td");
    cell.style.height = `${rows * this.height}px`;
    return [make("tr", { className: "space", ariaHidden: "true" }, cell)];
  }

  #row(place) {
    const { problems } = this;
    const row = this.rows[place];
    const severity = problems.value(row, "severity");
    const file = problems.value(row, "file_path");
    const left = problems.left[row];
    const triage = problems.value(row, "triage");
    const cell = (name, ...children) => make("td", { className: name }, ...children);
    const element = make(
      "tr",
      { ariaRowIndex: String(place + 2), onclick: () => this.open(row) },
      cell("severity", make("span", { className: `badge ${severity}` }, severity)),
      cell(
        "description",
        make(
          "button",
          { type: "button", className: "problem" },
          make("bdi", {}, said(problems.value(row, "description"))),
        ),
        make("bdi", { className: "file" }, file ?? ""),
      ),
      cell("target_plugin", make("bdi", {}, problems.value(row, "target_plugin"))),
      cell("rule", make("bdi", {}, problems.value(row, "rule") ?? "")),
      cell("status", problems.value(row, "status").replaceAll("_", " ")),
      cell("age number", `${Math.floor(problems.age[row])} d`),
      cell(
        `left number${left < 0 ? " late" : ""}`,
        triage === "none" ? (left < 0 ? `${Math.ceil(-left)} d late` : `${Math.floor(left)} d left`) : triage.replaceAll("_", " "),
      ),
    );
    element.place = place;
    return element;
  }

  #button(place) {
    return this.body.querySelector(`tr[aria-rowindex="${place + 2}"] button`);
  }

  /** Up, Down, Page Up, Page Down, Home and End go from problem to problem. */
  #move(event) {
    const current = event.target.closest?.("tbody tr")?.place;
    if (current === undefined) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const place = Math.max(0, Math.min(this.rows.length - 1, current + steps[event.key]));
    const head = this.table.tHead.offsetHeight;
    const top = place * this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.height + head > this.box.scrollTop + this.box.clientHeight)
      this.box.scrollTop = top + this.height + head - this.box.clientHeight;
    this.#draw();
    this.#button(place)?.focus({ preventScroll: true });
  }

  #print(on) {
    this.printing = on;
    this.#draw(true);
  }
}
