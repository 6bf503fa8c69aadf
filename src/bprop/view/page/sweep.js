// Forward mode and reverse mode side by side: what each computes, and how many operations it needs.

class Sweeps {
  constructor(root, figure) {
    this.root = root;
    this.figure = figure;
    this.input = null;
  }

  refresh() {
    const { model } = this.figure, { sweeps } = model.data;
    if (!sweeps) return this.root.replaceChildren(element("p", { class: "note" }, model.data.result === null ? "Two modes are compared where the result is a scalar." : "The operations of this graph are not counted entry by entry."));
    const total = sweeps.forward.reduce((sum, count) => sum + count, 0);
    const parts = [element("table", { class: "modes" },
      element("thead", {}, element("tr", {}, ["", "sweeps", "multiplications and additions along edges"].map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {},
        element("tr", {}, element("th", { scope: "row" }, "forward mode"), element("td", { class: "forward-sweeps" }, `${sweeps.inputs}, one per input number`), element("td", { class: "forward-count" }, String(total))),
        element("tr", {}, element("th", { scope: "row" }, "reverse mode"), element("td", {}, "1, for all inputs at once"), element("td", { class: "reverse-count" }, String(sweeps.backward)))))];
    if (model.isScalar && model.canCompute) parts.push(...this.tangents());
    this.root.replaceChildren(...parts);
  }

  // ∂(value)/∂(one input) for every value: a sweep of forward mode.
  sweep(input) {
    const { model } = this.figure, dots = new Map([[input, 1]]);
    model.data.nodes.forEach((node, k) => {
      const partials = node.backward ? model.partials(k) : null;
      if (!partials) return;
      let dot = null;
      node.backward.receives.forEach((receive, i) => {
        if (!dots.has(receive.value) || (partials[i].present && !partials[i].present[0])) return;
        dot = (dot || 0) + partials[i].numbers[0] * dots.get(receive.value);
      });
      if (dot !== null) dots.set(node.outputs[0], dot);
    });
    return dots;
  }

  tangents() {
    const { model, cards } = this.figure;
    const inputs = model.data.values.map((_, i) => i).filter((i) => model.data.values[i].source && model.data.values[i].float);
    if (!inputs.length) return [];
    if (this.input === null) this.input = inputs[0];
    const dots = this.sweep(this.input), name = model.name(this.input);
    const choice = element("select", { "aria-label": "input of the forward sweep", onchange: (event) => { this.input = Number(event.target.value); this.refresh(); } },
      inputs.map((index) => element("option", { value: index, selected: index === this.input }, model.name(index))));
    const rows = model.data.values.map((value, index) => {
      const bar = model.right.bars.get(index);
      return element("tr", {}, element("th", { scope: "row" }, value.name), element("td", {}, cards.number(model.values[index][0], "value")),
        element("td", {}, cards.number(dots.has(index) ? dots.get(index) : null, "tangent")), element("td", {}, bar ? cards.entry(index, bar.numbers, bar.present, "gradient") : cards.number(null, "gradient")));
    });
    return [element("p", {}, "Forward sweep from ", choice), element("table", { class: "modes tangents" },
      element("thead", {}, element("tr", {}, ["", "value", `forward ↓ ∂·/∂${name}`, `reverse ↑ ∂${cards.error()}/∂·`].map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, rows)),
      element("p", { class: "quiet" }, `Where the sweeps meet: ∂${cards.error()}/∂${name} stands last in one column and at ${name} in the other.`)];
  }
}
