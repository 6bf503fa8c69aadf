// The card of a step: the rule, the numbers put in, the result.

const TRUE_SIGNS = (text) => text.replace(/\*\*/g, "^").replace(/-/g, "−").replace(/ \* /g, " · ");

class Cards {
  constructor(model) { this.model = model; }

  error() { return this.model.name(this.model.data.result); }
  by(index) { return `∂${this.error()}/∂${this.model.name(index)}`; }

  number(x, kind) { return element("b", { class: `number ${kind}`, title: exact(x), "data-exact": x === null ? "absent" : String(x) }, short(x)); }

  entry(index, numbers, present, kind) {
    const value = this.model.data.values[index];
    if (!numbers) return element("span", { class: kind }, "not shown here: too many entries");
    if (!value.shape.length) return this.number(present && !present[0] ? null : numbers[0], kind);
    return this.heatmap(value, numbers, present, kind);
  }

  // An array as a table of numbers, shaded blue below and orange above zero; its frame says whether it is a value or a gradient.
  heatmap(value, numbers, present, kind) {
    const shape = value.shape, columns = shape[shape.length - 1] || 1, rows = numbers.length / columns;
    if (!numbers.length) return element("span", { class: kind }, "[] (empty)");
    if (rows > 32 || columns > 32) return element("span", { class: kind }, `${brief(value, numbers, present)} ${value.spec}`);
    const largest = Math.max(0, ...numbers.filter(Number.isFinite).map(Math.abs)) || 1;
    const body = Array.from({ length: rows }, (_, row) => element("tr", {}, Array.from({ length: columns }, (_, column) => {
      const i = row * columns + column, there = !present || present[i], x = numbers[i];
      const share = there && Number.isFinite(x) ? Math.round((70 * Math.abs(x)) / largest) : 0;
      const colour = `color-mix(in srgb, var(${x < 0 ? "--heat-below" : "--heat-above"}) ${share}%, transparent)`;
      const text = !there ? ABSENT : value.dtype === "bool" ? (x ? "True" : "False") : short(x);
      return element("td", { style: `background: ${colour}`, title: exact(there ? x : null), "data-exact": there ? String(x) : "absent" }, text);
    })));
    return element("table", { class: `heatmap ${kind}`, "aria-label": `${value.name}, ${value.spec}` }, element("tbody", {}, body));
  }

  // A formula with names in its slots, or with numbers where all of them are scalars.
  formula(text, withNumbers) {
    const fill = (_, bar, digits) => {
      const index = Number(digits), value = this.model.data.values[index];
      if (!withNumbers || value.shape.length) return bar ? this.by(index) : value.name;
      const source = bar ? this.model.right.bars.get(index)?.numbers : this.model.values[index];
      const shown = short(source ? source[0] : null);
      return shown.startsWith("−") ? `(${shown})` : shown;
    };
    return TRUE_SIGNS(text).replace(/⟦(∂?)(\d+)⟧/g, fill);
  }

  // "tanh(0.7) = ", or nothing where the formula is but one number.
  putIn(text) { return /^⟦\d+⟧$/.test(text) ? "" : `${this.formula(text, true)} = `; }

  hasScalarsOnly(indices) { return indices.every((index) => this.model.data.values[index].shape.length === 0); }

  line(...parts) { return element("p", {}, ...parts); }

  forward(k, position, count) {
    const node = this.model.data.nodes[k], names = node.outputs.map((index) => this.model.name(index)).join(", ");
    const parts = [element("h3", {}, `Forward ${position} of ${count}: ${names}`), this.line(element("code", {}, `${names} = ${this.formula(node.formula, false)}`))];
    if (this.hasScalarsOnly([...node.reads, ...node.outputs]) && node.outputs.length === 1) {
      parts.push(this.line(element("code", {}, `${names} = ${this.formula(node.formula, true)} = `), this.entry(node.outputs[0], this.model.values[node.outputs[0]], null, "value")));
    } else {
      for (const index of node.outputs) parts.push(this.line(`${this.model.name(index)} = `, this.entry(index, this.model.values[index], null, "value")));
    }
    parts.push(this.lecture(node, false), this.kept(node));
    return parts;
  }

  // What the way back reads of an application.
  kept(node) {
    const program = node.backward && node.backward.function;
    if (!program) return null;
    const read = new Set(program.code.flatMap((step) => step.of));
    const kept = node.backward.reads.filter((_, register) => read.has(register)).map((index) => this.model.name(index));
    return element("p", { class: "quiet" }, kept.length ? `kept for the way back: ${kept.join(", ")}` : "nothing has to be kept for the way back");
  }

  // The same step in the notation of the lecture.
  lecture(node, isBackward) {
    const E = this.error.bind(this), text = [];
    const isUnary = node.family === "Elementwise" && node.operands.length === node.reads.length && node.reads.length === 1;
    const name = (index) => this.model.name(index);
    if (isUnary) {
      const [z, y] = [name(node.reads[0]), name(node.outputs[0])];
      text.push(`y_j = g(z_j) with z_j = ${z}, y_j = ${y}, g = ${node.op}`);
      if (isBackward) text.push(`∂${E()}/∂z_j = ∂y_j/∂z_j · ∂${E()}/∂y_j = g′(z_j) · ∂${E()}/∂y_j`);
    } else if (node.family === "Bilinear") {
      text.push(`z_j = Σ_i w_ij y_i with z = ${name(node.outputs[0])}`);
      if (isBackward) text.push(`∂${E()}/∂y_i = Σ_j w_ij ∂${E()}/∂z_j`, `∂${E()}/∂w_ij = y_i ∂${E()}/∂z_j`);
    }
    return text.length ? element("p", { class: "lecture" }, "In the lecture: ", ...text.flatMap((part, i) => (i ? ["; ", element("span", {}, subscripts(part))] : [element("span", {}, subscripts(part))]))) : null;
  }

  seed() {
    const index = this.model.data.result;
    return [
      element("h3", {}, "The way back begins"),
      this.line(element("code", {}, `${this.by(index)} = `), this.entry(index, [1], null, "gradient")),
      element("p", {}, `${this.by(index)} says how much ${this.error()} moves per unit of ${this.error()}: 1. From here every value gets how much ${this.error()} moves per unit of it.`),
    ];
  }

  // `before` and `after` are the sweep before and after this application has sent.
  backward(k, position, count, before, after, early) {
    const node = this.model.data.nodes[k], { receives } = node.backward, partials = this.model.partials(k);
    const names = node.outputs.map((index) => this.model.name(index)).join(", ");
    const parts = [element("h3", {}, `Backward ${position} of ${count}: ${names} = ${this.formula(node.formula, false)}`)];
    for (const index of node.backward.bars) {
      const bar = before.bars.get(index), of = this.model.uses[index].length;
      parts.push(this.line("incoming gradient ", element("code", {}, `${this.by(index)} = `), bar ? this.entry(index, bar.numbers, bar.present, "gradient") : ABSENT,
        of > 1 ? ` (the sum over ${before.arrived.get(index) || 0} of ${of} edges)` : ""));
    }
    for (const problem of early.filter((entry) => entry.node === k)) {
      parts.push(element("p", { class: "warning", role: "alert" }, `✗ Too early: only ${problem.arrived} of ${problem.of} contributions to ${this.by(problem.value)} have arrived. What it sends now lacks the others, and so does every gradient behind it.`));
    }
    const seen = new Map();
    receives.forEach((receive, i) => parts.push(this.received(node, receive, i, partials, before, after.sent.get(k), seen)));
    parts.push(this.lecture(node, true), this.kept(node));
    return parts;
  }

  received(node, receive, i, partials, before, sent, seen) {
    const index = receive.value, name = this.model.name(index), contribution = sent[i];
    const rows = [], row = (label, ...content) => rows.push(element("dt", {}, label), element("dd", {}, ...content));
    if (partials) {
      const output = node.outputs[0], incoming = before.bars.get(output);
      const absent = partials[i].present && !partials[i].present[0];
      const local = `∂${this.model.name(output)}/∂${name}`;
      const local_number = absent ? null : partials[i].numbers[0], incoming_number = incoming ? incoming.numbers[0] : null;
      row("local derivative", element("code", {}, absent ? `${local}: the branch is not taken: ` : receive.partial && receive.partial.includes("⟦") ? `${local} = ${this.formula(receive.partial, false)} = ${this.putIn(receive.partial)}` : `${local} = `), this.number(local_number, "value"));
      row("product", element("code", {}, `${this.by(output)} · ${local} = `), this.number(incoming_number, "gradient"), " · ", this.number(local_number, "value"), " = ", this.entry(index, contribution.numbers, contribution.present, "gradient"));
    } else {
      row("sends to " + name, receive.cotangent ? element("code", {}, this.formula(receive.cotangent, false)) : "by the rule of " + node.op, " = ", this.entry(index, contribution.numbers, contribution.present, "gradient"));
    }
    const edges = this.model.uses[index].length, earlier = seen.get(index) || before.bars.get(index);
    const number = (before.arrived.get(index) || 0) + (seen.has(index) ? seen.get(index).count : 0) + 1;
    const total = earlier ? sumOf(earlier, contribution, this.model.data.values[index].dtype) : contribution;
    seen.set(index, { ...total, count: (seen.get(index)?.count || 0) + 1 });
    const terms = earlier ? [this.entry(index, earlier.numbers, earlier.present, "gradient"), " + ", this.entry(index, contribution.numbers, contribution.present, "gradient"), " = "] : [];
    row("sum over paths", element("code", {}, `${this.by(index)} = `), ...terms, this.entry(index, total.numbers, total.present, "gradient"), ` (edge ${number} of ${edges}${number === edges ? ", complete" : ""})`);
    return element("div", { class: "operand" }, element("h4", {}, `to ${name}`), element("dl", {}, rows));
  }

  inputs() {
    const list = this.model.data.values.map((value, index) => ({ value, index })).filter(({ value }) => value.source);
    return [element("h3", {}, "The inputs"), ...list.map(({ value, index }) => this.line(`${value.name} = `, this.entry(index, this.model.values[index], null, "value"), value.source === "capture" ? " (closed over)" : ""))];
  }

  // All there is at the end: the result and the gradient by every input.
  end(state) {
    const { data } = this.model;
    const parts = [element("h3", {}, data.result === null ? "The results" : "The result and its gradient")];
    for (const index of data.results) parts.push(this.line(`${this.model.name(index)} = `, this.entry(index, this.model.values[index], null, "value")));
    if (data.result === null) {
      parts.push(element("p", { class: "note" }, "The result is no scalar: there is no gradient of it, so this page goes forward only. Reduce it, by a sum say, and view that."));
      return parts;
    }
    data.values.forEach((value, index) => {
      if (!value.source || !value.differentiable) return;
      const bar = state.bars.get(index);
      parts.push(this.line(element("code", {}, `${this.by(index)} = `), bar ? this.entry(index, bar.numbers, bar.present, "gradient") : this.number(null, "gradient"), bar ? "" : " absent: no path leads from it to the result, which is not a zero"));
    });
    return parts;
  }
}

// z_j with a subscript.
function subscripts(text) {
  const fragment = document.createDocumentFragment();
  text.split(/(_[a-z]+)/).forEach((part) => fragment.append(part.startsWith("_") ? element("sub", {}, part.slice(1)) : part));
  return fragment;
}
