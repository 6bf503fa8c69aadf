// Stepping: forward through the applications, then back. A step is a place in one list, which keys and buttons move.

class Steps {
  constructor(figure) {
    const { model } = figure;
    this.figure = figure;
    this.model = model;
    this.order = model.rightOrder;
    this.early = [];
    this.at = this.list().length - 1;
    this.timer = null;
  }

  list() {
    const forward = this.model.data.nodes.map((_, k) => ({ kind: "forward", k }));
    const steps = [{ kind: "inputs" }, ...forward];
    if (this.model.data.result !== null && this.order.length) steps.push({ kind: "seed" }, ...this.order.map((k) => ({ kind: "backward", k })));
    return [...steps, { kind: "end" }];
  }

  go(to) {
    this.at = Math.max(0, Math.min(to, this.list().length - 1));
    this.figure.refresh();
  }

  move(by) { this.stop(); this.go(this.at + by); }
  toForward() { this.stop(); this.go(0); }
  toBackward() { this.stop(); const seed = this.list().findIndex((step) => step.kind === "seed"); this.go(seed < 0 ? this.list().length - 1 : seed); }
  toEnd() { this.stop(); this.go(this.list().length - 1); }

  play() {
    if (this.timer) return this.stop();
    if (this.at === this.list().length - 1) this.at = 0;
    this.timer = setInterval(() => {
      this.go(this.at + 1);
      if (this.at === this.list().length - 1) this.stop();
    }, 1200);
    this.figure.refresh();
  }

  stop() {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
    this.figure.refresh();
  }

  // Runs the way back in another order, or in the right one.
  setOrder(isWrong) {
    const order = isWrong ? this.model.wrongOrder() : this.model.rightOrder;
    this.order = order || this.model.rightOrder;
    this.early = isWrong && order ? this.model.tooEarly(order) : [];
    this.toBackward();
    return Boolean(order);
  }

  // What is known at this step: values, gradients so far, and which of them are wrong.
  state() {
    const list = this.list(), step = list[this.at], { model } = this;
    const done = list.slice(0, this.at + 1);
    const computed = new Set(model.data.values.map((_, i) => i).filter((i) => model.data.values[i].source));
    for (const { kind, k } of done) if (kind === "forward") model.data.nodes[k].outputs.forEach((index) => computed.add(index));
    const isBackward = done.some(({ kind }) => kind === "seed" || kind === "end");
    const count = done.filter(({ kind }) => kind === "backward").length;
    const after = isBackward ? this.sweep(count) : { bars: new Map(), sent: new Map(), arrived: new Map() };
    const wrong = new Set();
    if (this.early.length) {
      const last = model.sweep(this.order);
      for (const [index, bar] of after.bars) {
        const right = model.right.bars.get(index), mine = last.bars.get(index);
        const isFinal = (after.arrived.get(index) || 0) === model.uses[index].length;
        if (isFinal && mine.numbers.some((x, i) => Math.abs(x - right.numbers[i]) > 1e-12 * Math.max(Math.abs(x), Math.abs(right.numbers[i])))) wrong.add(index);
        else if (!isFinal && this.early.some((entry) => entry.value === index && after.sent.has(entry.node))) wrong.add(index);
      }
    }
    return { step, list, computed, isBackward, isEnd: step.kind === "end", count, bars: after.bars, after, wrong };
  }

  sweep(count) {
    if (this.model.rightOrder.length) return this.model.sweep(this.order, count);
    const bars = new Map();  // no rules in the page: Python's gradients
    this.model.data.values.forEach((value, index) => { if (value.gradient) bars.set(index, { numbers: value.gradient.map(parsed), present: value.present }); });
    return { bars, sent: new Map(), arrived: new Map() };
  }

  card(state) {
    const { cards } = this.figure, { step, list } = state;
    const forward = list.filter(({ kind }) => kind === "forward").length;
    if (step.kind === "inputs") return cards.inputs();
    if (step.kind === "forward") return cards.forward(step.k, this.at, forward);
    if (step.kind === "seed") return cards.seed();
    if (step.kind === "backward") return cards.backward(step.k, state.count, this.order.length, this.sweep(state.count - 1), state.after, this.early);
    return [...cards.end(state), ...this.verdict(state)];
  }

  // Which numbers a wrong order has broken, and why.
  verdict(state) {
    if (!this.early.length) return [];
    const { model } = this, { cards } = this.figure;
    const lines = this.early.map(({ node, value, arrived, of }) => element("li", {}, `${model.name(value)} sent its gradient on when ${arrived} of ${of} contributions had arrived.`));
    const broken = [...state.wrong].map((index) => element("li", {}, `${cards.by(index)} = `, cards.entry(index, state.bars.get(index).numbers, state.bars.get(index).present, "gradient"), ` instead of `, cards.entry(index, model.right.bars.get(index).numbers, model.right.bars.get(index).present, "gradient")));
    return [element("div", { class: "warning" }, element("h4", {}, "The wrong order broke these numbers ✗"), element("ul", {}, broken), element("h4", {}, "because"), element("ul", {}, lines),
      element("p", {}, "A gradient is a sum over all paths. An order in which every application waits until all that read its result have sent (a topological order, reversed) loses no path."))];
  }

  // Which box and arrows a step lights.
  light(state) {
    const { step } = state, { graph, model } = this.figure;
    if (step.kind === "seed") return graph.light({ current: model.data.values[model.data.result].box });
    if (step.k === undefined) return graph.light({});
    const box = model.data.values[model.data.nodes[step.k].outputs[0]].box, style = step.kind === "forward" ? "arrow" : "back";
    graph.light({ current: box, arrows: (arrow) => arrow.dataset.head === String(box) && arrow.classList.contains(style) });
    graph.reveal(box);
  }
}
