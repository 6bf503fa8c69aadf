// Paths: from one value to the result, each with the product of its local derivatives.

class PathList {
  constructor(root, figure) {
    this.root = root;
    this.figure = figure;
    this.from = null;
    this.chosen = -1;
    const { data } = figure.model;
    this.successors = data.values.map(() => []);
    let arrow = 0;
    data.nodes.forEach((node, k) => {
      const positions = node.operands.map((x, position) => ({ x, position })).filter(({ x }) => typeof x === "number");
      positions.forEach(({ x, position }) => {
        const i = node.backward ? node.backward.receives.findIndex((receive) => receive.position === position) : -1;
        if (i >= 0) node.backward.bars.forEach((to) => this.successors[x].push({ to, k, receive: i, arrow }));
        arrow += 1;
      });
    });
  }

  count(index, known = new Map()) {
    if (index === this.figure.model.data.result) return 1;
    if (!known.has(index)) known.set(index, this.successors[index].reduce((sum, edge) => sum + this.count(edge.to, known), 0));
    return known.get(index);
  }

  // The first paths from a value to the result, depth first.
  paths(index, limit = 50) {
    const found = [], walk = (at, path) => {
      if (found.length >= limit) return;
      if (at === this.figure.model.data.result) { found.push(path); return; }
      for (const edge of this.successors[at]) walk(edge.to, [...path, edge]);
    };
    walk(index, []);
    return found;
  }

  select(index) { this.from = index; this.chosen = -1; this.refresh(); }
  choose(number) { this.chosen = number === this.chosen ? -1 : number; this.refresh(); }
  clear() { this.from = null; this.chosen = -1; this.refresh(); }

  refresh() {
    const { model, cards, graph } = this.figure;
    if (model.data.result === null) return this.root.replaceChildren(element("p", { class: "note" }, "There are no paths to a scalar result."));
    if (!model.rightOrder.length && model.data.nodes.length) return this.root.replaceChildren(element("p", { class: "note" }, `Paths are not followed here: ${model.data.reason}.`));
    if (this.from === null) return this.root.replaceChildren(element("p", { class: "quiet" }, "Click a box, or press Enter on it: its paths to the result light up."));
    const index = this.from, total = this.count(index), paths = this.paths(index);
    const arrows = this.chosen >= 0 ? paths[this.chosen].map((edge) => edge.arrow) : this.reaching(index);
    graph.lightPath([null, ...arrows]);
    const parts = [element("p", {}, `${total === 1 ? "1 path" : `${total.toLocaleString("en")} paths`} from ${model.name(index)} to ${cards.error()}`, total > paths.length ? `; the first ${paths.length}:` : ":")];
    const sum = model.right.bars.get(index);
    if (model.isScalar && model.canCompute) {
      const list = paths.map((path, number) => this.item(index, path, number));
      parts.push(element("ol", { class: "paths" }, list));
      if (sum && total <= paths.length) parts.push(element("p", {}, element("code", {}, `${cards.by(index)} = sum of the products = `), cards.entry(index, sum.numbers, sum.present, "gradient")));
    } else {
      parts.push(element("ol", { class: "paths" }, paths.map((path, number) => this.item(index, path, number))), element("p", { class: "quiet" }, "Between arrays a path is a product of matrices; `bprop.paths` writes it out entry by entry."));
      if (sum) parts.push(element("p", {}, element("code", {}, `${cards.by(index)} = `), cards.entry(index, sum.numbers, sum.present, "gradient")));
    }
    if (!total) parts.push(element("p", {}, `${cards.by(index)} is absent (${ABSENT}): that is not a zero.`));
    parts.push(element("button", { type: "button", onclick: () => { this.clear(); this.figure.refresh(); } }, "clear"));
    this.root.replaceChildren(...parts);
  }

  reaching(index, seen = new Set(), arrows = []) {
    if (seen.has(index)) return arrows;
    seen.add(index);
    for (const edge of this.successors[index]) {
      if (!this.count(edge.to)) continue;
      arrows.push(edge.arrow);
      this.reaching(edge.to, seen, arrows);
    }
    return arrows;
  }

  item(index, path, number) {
    const { model, cards } = this.figure;
    const names = [model.name(index), ...path.map((edge) => model.name(edge.to))].join(" → ");
    const parts = [element("span", {}, names)];
    if (model.isScalar && model.canCompute) {
      const factors = path.map((edge) => model.partials(edge.k)[edge.receive]);
      const absent = factors.some((factor) => factor.present && !factor.present[0]);
      const product = absent ? null : factors.reduce((result, factor) => result * factor.numbers[0], 1);
      parts.push(": ", ...factors.flatMap((factor, i) => [i ? " · " : "", cards.number(factor.present && !factor.present[0] ? null : factor.numbers[0], "value")]), factors.length ? " = " : "", cards.number(product, "gradient product"));
    }
    return element("li", {}, element("button", { type: "button", class: "path", "aria-pressed": String(number === this.chosen), onclick: () => this.choose(number) }, ...parts));
  }
}
