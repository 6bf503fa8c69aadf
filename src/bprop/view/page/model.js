// The numbers of one figure: values, gradients, what every application sends back, computed by the program that the page has.

class Model {
  constructor(data) {
    this.data = data;
    this.given = data.values.map((value) => value.numbers && value.numbers.map(parsed));
    this.values = this.given.map((numbers) => numbers && numbers.slice());
    this.canCompute = !data.reason && this.given.every(Boolean);
    this.isScalar = data.values.every((value) => value.shape.length === 0);
    this.rightOrder = data.nodes.map((_, k) => k).filter((k) => data.nodes[k].backward).reverse();
    this.uses = data.values.map(() => []);  // the edges that send a gradient to a value
    for (const k of this.rightOrder) {
      data.nodes[k].backward.receives.forEach((receive, i) => this.uses[receive.value].push({ node: k, receive: i }));
    }
    this.refresh();
  }

  name(index) { return this.data.values[index].name; }

  // Computes the values forward and the gradients back.
  refresh() {
    if (this.canCompute) {
      for (const node of this.data.nodes) {
        const results = runFunction(node.forward, node.reads.map((index) => this.values[index]));
        node.outputs.forEach((index, i) => { this.values[index] = results[i]; });
      }
    }
    this.right = this.sweep(this.rightOrder);
    this.locals = new Map();
  }

  reset() {
    this.values = this.given.map((numbers) => numbers && numbers.slice());
    this.refresh();
  }

  // The backward pass in an order of applications, up to `count` of them: gradients so far, and what was sent.
  sweep(order, count = order.length) {
    const bars = new Map(), sent = new Map(), arrived = new Map();
    if (this.data.result === null) return { bars, sent, arrived };
    bars.set(this.data.result, { numbers: [1], present: null });
    for (const k of order.slice(0, count)) {
      if (!this.data.nodes[k].backward) continue;
      const contributions = this.send(k, bars);
      sent.set(k, contributions);
      this.data.nodes[k].backward.receives.forEach((receive, i) => {
        const value = this.data.values[receive.value], before = bars.get(receive.value);
        bars.set(receive.value, before ? sumOf(before, contributions[i], value.dtype) : contributions[i]);
        arrived.set(receive.value, (arrived.get(receive.value) || 0) + 1);
      });
    }
    return { bars, sent, arrived };
  }

  // What an application sends to its operands, given the gradients of its results.
  send(k, bars) {
    const { backward, outputs } = this.data.nodes[k];
    if (!this.canCompute) {
      return backward.receives.map(({ given, present }) => ({ numbers: given && given.map(parsed), present }));
    }
    const zero = (index) => new Array(this.values[index].length).fill(0);
    const incoming = backward.bars.map((index) => (bars.has(index) ? bars.get(index).numbers : zero(index)));
    const masks = backward.masks.map((index) => {
      if (!bars.has(index)) return zero(index);
      return bars.get(index).present || zero(index).fill(1);
    });
    return this.runBackward(backward, incoming, masks);
  }

  runBackward(backward, incoming, masks) {
    const results = runFunction(backward.function, [...backward.reads.map((index) => this.values[index]), ...incoming, ...masks]);
    let mask = backward.receives.length;
    return backward.receives.map((receive, i) => {
      const present = receive.masked ? results[mask++] : null;
      return { numbers: results[i], present: present && present.every(Boolean) ? null : present };
    });
  }

  // The local derivatives of an application of scalars by its operands: what it sends where the incoming gradient is 1.
  partials(k) {
    if (!this.locals.has(k)) this.locals.set(k, this.computePartials(k));
    return this.locals.get(k);
  }

  computePartials(k) {
    const { backward, outputs } = this.data.nodes[k];
    const scalar = backward && [...outputs, ...backward.receives.map((r) => r.value)].every((i) => !this.data.values[i].shape.length);
    if (!scalar || outputs.length > 1 || !this.canCompute) return null;
    return this.runBackward(backward, backward.bars.map(() => [1]), backward.masks.map(() => [1]));
  }

  // Compares what this page computes with what Python computed; returns the largest difference relative to the numbers' size.
  verify() {
    if (!this.canCompute) return { agrees: false, worst: NaN };
    let worst = 0, agrees = true;
    const compare = (numbers, given, value, scale) => {
      const bound = value.dtype === "float32" ? 2e-4 : 1e-9;
      given.forEach((expected, i) => {
        const got = numbers[i];
        if (Object.is(got, expected) || got === expected || (Number.isNaN(got) && Number.isNaN(expected))) return;
        const difference = Math.abs(got - expected) / Math.max(Math.abs(expected), scale);
        if (!(difference <= bound)) agrees = false;
        worst = Math.max(worst, difference);
      });
    };
    const size = (numbers) => Math.max(0, ...numbers.filter(Number.isFinite).map(Math.abs));
    this.data.nodes.forEach((node, k) => {
      const scale = Math.max(...node.reads.map((index) => size(this.given[index])), 0);
      for (const index of node.outputs) compare(this.values[index], this.given[index], this.data.values[index], Math.max(scale, size(this.given[index])));
      const sent = this.right.sent.get(k);
      if (sent) node.backward.receives.forEach((receive, i) => {
        if (receive.given) compare(sent[i].numbers, receive.given.map(parsed), this.data.values[receive.value], size(receive.given.map(parsed)));
      });
    });
    this.data.values.forEach((value, index) => {
      const bar = this.right.bars.get(index);
      if (Boolean(bar) !== value.reached && value.differentiable) agrees = agrees && this.data.result === null;
      if (!bar || !value.gradient) return;
      const terms = this.uses[index].map(({ node, receive }) => size(this.right.sent.get(node)[receive].numbers));
      compare(bar.numbers, value.gradient.map(parsed), value, Math.max(size(value.gradient.map(parsed)), ...terms));
      const present = bar.present || bar.numbers.map(() => 1), expected = value.present || present.map(() => 1);
      if (present.some((flag, i) => flag !== expected[i])) agrees = false;
    });
    return { agrees, worst };
  }

  // The conditions of Python's `if` that would now be decided otherwise.
  otherBranches() {
    if (!this.canCompute) return [];
    const inputs = this.data.values.map((_, i) => i).filter((i) => this.data.values[i].source === "input").map((i) => this.values[i]);
    return this.data.conditions.filter((condition) => condition.function && Boolean(runFunction(condition.function, inputs)[0][0]) !== condition.value);
  }

  // An order in which an application sends its gradient on as soon as something has arrived; null where every order is right.
  wrongOrder() {
    for (const takesLast of [false, true]) {
      const order = [], waiting = [], queued = new Set();
      const producer = new Map();
      this.data.nodes.forEach((node, k) => node.outputs.forEach((index) => producer.set(index, k)));
      const push = (index) => {
        const k = producer.get(index);
        if (k === undefined || queued.has(k) || !this.data.nodes[k].backward) return;
        queued.add(k);
        waiting.push(k);
      };
      push(this.data.result);
      while (waiting.length) {
        const k = takesLast ? waiting.pop() : waiting.shift();
        order.push(k);
        this.data.nodes[k].backward.receives.forEach((receive) => push(receive.value));
      }
      if (this.tooEarly(order).length) return order;
    }
    return null;
  }

  // The applications that an order lets send before all contributions have arrived: {node, value, arrived, of}.
  tooEarly(order) {
    const arrived = new Map(), early = [];
    for (const k of order) {
      for (const index of this.data.nodes[k].outputs) {
        const of = this.uses[index].length, there = arrived.get(index) || 0;
        if (there < of) early.push({ node: k, value: index, arrived: there, of });
      }
      this.data.nodes[k].backward.receives.forEach((receive) => arrived.set(receive.value, (arrived.get(receive.value) || 0) + 1));
    }
    return early;
  }
}

function sumOf(a, b, dtype) {
  const store = storing(dtype);
  const present = a.present && b.present ? a.present.map((flag, i) => (flag || b.present[i] ? 1 : 0)) : null;
  return {
    numbers: a.numbers && b.numbers && a.numbers.map((x, i) => store(x + b.numbers[i])),
    present: present && present.every(Boolean) ? null : present,
  };
}
