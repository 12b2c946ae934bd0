/** Reads what the page brings along: compressed JSON, and a table of columns in it. */

const DAY = 86400e6; // microseconds

async function readData(element) {
  const packed = Uint8Array.from(atob(element.textContent.trim()), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).json();
}

/** The open problems, the worst first. A column is `{values, codes}`: the code -1 is no value. */
class Problems {
  constructor(data) {
    const table = data.table;
    this.data = data;
    this.count = table.count;
    this.columns = table.columns;
    this.numbers = table.numbers;
    this.digits = this.count ? table.fingerprint.length / this.count : 0;
    this.fingerprints = table.fingerprint;
    for (const column of Object.values(this.columns)) column.codes = Int32Array.from(column.codes);
    const opened = this.columns.opened_at;
    const severity = this.columns.severity;
    const undecided = this.columns.triage.values.indexOf("none");
    this.age = new Float64Array(this.count); // days
    this.left = new Float64Array(this.count); // days until the SLA has passed; NaN: it does not apply
    for (let row = 0; row < this.count; row++) {
      this.age[row] = (data.asOf - opened.values[opened.codes[row]]) / DAY;
      const allowed = data.sla[severity.values[severity.codes[row]]];
      this.left[row] = this.columns.triage.codes[row] === undecided ? allowed - this.age[row] : NaN;
    }
    this.words = null;
  }

  value(row, name) {
    const column = this.columns[name];
    const code = column.codes[row];
    return code < 0 ? null : column.values[code];
  }

  fingerprint(row) {
    return this.fingerprints.slice(row * this.digits, (row + 1) * this.digits);
  }

  /** All that a search looks at, in lower case; made when somebody searches. */
  text(row) {
    this.words ??= new Array(this.count);
    return (this.words[row] ??= ["description", "file_path", "rule", "target_plugin", "category"]
      .map((name) => this.value(row, name) ?? "")
      .concat(this.fingerprint(row))
      .join("\n")
      .toLowerCase());
  }

  bucket(row) {
    return this.data.ages.filter((bound) => this.age[row] >= bound).length;
  }

  /** The first microsecond of a day like 2025-08-29. */
  static moment(day) {
    return Date.parse(`${day}T00:00:00Z`) * 1000;
  }
}

function day(microseconds) {
  return new Date(microseconds / 1000).toISOString().slice(0, 10);
}

function grouped(number) {
  return Math.round(number).toLocaleString("en");
}

/** A text, or that there is none: nobody can press what has no name. */
function said(text) {
  return text.trim() ? text : "(empty)";
}

/** An element with properties and children; texts become text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
