// Sliders: one for every number of the inputs, with a box to type into and a way back.

class Sliders {
  constructor(root, figure) {
    this.root = root;
    this.figure = figure;
    this.rows = [];
  }

  build(reason) {
    if (reason) {
      this.root.append(element("p", { class: "note" }, `Inputs cannot be changed here: ${reason}.`));
      return;
    }
    const { data, given } = this.figure.model;
    data.values.forEach((value, index) => {
      if (!value.source || !value.float) return;
      given[index].forEach((_, entry) => this.root.append(this.row(value, index, entry)));
    });
    if (!this.rows.length) this.root.append(element("p", { class: "note" }, "There is no floating-point input to change."));
    else this.root.append(element("button", { type: "button", class: "reset-all", onclick: () => this.reset() }, "reset all"));
  }

  label(value, entry) {
    if (!value.shape.length) return value.name;
    const strides = stridesOf(value.shape);
    return `${value.name}[${value.shape.map((size, axis) => Math.floor(entry / strides[axis]) % size).join(", ")}]`;
  }

  row(value, index, entry) {
    const label = this.label(value, entry), start = this.figure.model.given[index][entry];
    const centre = Number.isFinite(start) ? start : 0, reach = Math.max(2, 2 * Math.abs(centre));
    const range = element("input", { type: "range", min: centre - reach, max: centre + reach, step: reach / 500, "aria-label": `${label}, slider` });
    const box = element("input", { type: "number", step: "any", "aria-label": `${label}, number` });
    const set = (x) => {
      const stored = storing(value.dtype)(x);
      this.figure.model.values[index][entry] = stored;
      range.value = stored;
      box.value = stored;
      this.figure.changed();
    };
    range.addEventListener("input", () => set(Number(range.value)));
    box.addEventListener("change", () => { if (box.value.trim() !== "" && !Number.isNaN(Number(box.value))) set(Number(box.value)); });
    const put = () => { range.value = start; box.value = start; };
    put();
    this.rows.push(put);
    const back = element("button", { type: "button", "aria-label": `reset ${label}`, title: `back to ${exact(start)}`, onclick: () => set(start) }, "↺");
    return element("div", { class: "slider", "data-value": index, "data-entry": entry }, element("span", { class: "label", title: label }, label), range, box, back);
  }

  reset() {
    this.figure.model.reset();
    this.rows.forEach((put) => put());
    this.figure.changed();
  }
}
