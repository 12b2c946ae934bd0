/** One problem whole, in a dialog; what it has in common with others filters the table. */

class Details {
  constructor(problems, filter) {
    this.problems = problems;
    this.filter = filter;
    this.dialog = document.getElementById("details");
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // outside of what it holds
    });
  }

  open(row) {
    const { problems } = this;
    const severity = problems.value(row, "severity");
    const seen = problems.numbers.runs_seen[row];
    const reopened = problems.numbers.reopened[row];
    const left = problems.left[row];
    const triage = problems.value(row, "triage");
    const facts = [
      ["File", this.#link(row, "file_path")],
      ["Plugin", this.#link(row, "target_plugin")],
      ["Category", this.#link(row, "category")],
      ["Rule", this.#link(row, "rule")],
      ["Status", problems.value(row, "status").replaceAll("_", " ")],
      ["First seen", day(problems.value(row, "first_seen"))],
      ["Last seen", `${day(problems.value(row, "last_seen"))}, in ${grouped(seen)} ${seen === 1 ? "run" : "runs"}`],
      ["Open since", `${day(problems.value(row, "opened_at"))}, ${Math.floor(problems.age[row])} days`],
      ["Came back", reopened ? `${grouped(reopened)} ${reopened === 1 ? "time" : "times"}` : null],
      ["SLA", Number.isNaN(left) ? null : left < 0 ? `${Math.ceil(-left)} days past due` : `${Math.floor(left)} days left`],
      ["Triage", triage === "none" ? null : this.#triage(row, triage)],
      ["Fingerprint", make("code", {}, problems.fingerprint(row))],
    ];
    const list = make("dl", {});
    for (const [name, value] of facts) {
      if (value !== null) list.append(make("dt", {}, name), make("dd", {}, value));
    }
    this.dialog.replaceChildren(
      make(
        "div",
        { className: "inside" },
        make("p", {}, make("span", { className: `badge ${severity}` }, severity)),
        make("h2", { id: "details-title" }, make("bdi", {}, said(problems.value(row, "description")))),
        list,
        make("button", { type: "button", className: "close", onclick: () => this.dialog.close() }, "Close"),
      ),
    );
    this.dialog.showModal();
  }

  #triage(row, triage) {
    const until = this.problems.value(row, "triage_until");
    const reason = this.problems.value(row, "triage_reason");
    const said = `${triage.replaceAll("_", " ")}${until ? ` until ${until}` : ""}`;
    return make("span", {}, said, reason ? ": " : "", make("bdi", {}, reason ?? ""));
  }

  #link(row, name) {
    const value = this.problems.value(row, name);
    if (value === null) return null;
    const show = () => {
      this.dialog.close();
      this.filter({ [name]: value });
    };
    return make("button", { type: "button", className: "link", onclick: show, title: "Show all with this" }, make("bdi", {}, said(value)));
  }
}
