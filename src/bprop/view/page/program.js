// Runs the functions that `program.py` writes: lists of instructions on registers, which are arrays of numbers, row by row.

function runFunction(program, inputs) {
  const registers = inputs.slice();
  const shapes = program.shapes.slice();
  for (const instruction of program.code) {
    registers[instruction.to] = RUN[instruction.do](instruction, registers, shapes);
    shapes[instruction.to] = instruction.shape;
  }
  return program.outputs.map((register) => registers[register]);
}

const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);

function stridesOf(shape) {
  const strides = new Array(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

// Positions in an operand of `shape` of the entries of a result of shape `out`, by NumPy's broadcasting.
function broadcastPositions(shape, out) {
  const size = sizeOf(out), positions = new Array(size), strides = stridesOf(shape), outer = stridesOf(out);
  const lead = out.length - shape.length;
  for (let i = 0; i < size; i++) {
    let at = 0;
    for (let axis = 0; axis < shape.length; axis++) {
      if (shape[axis] > 1) at += (Math.floor(i / outer[axis + lead]) % out[axis + lead]) * strides[axis];
    }
    positions[i] = at;
  }
  return positions;
}

function reader(operand, registers, shapes, out) {
  if (typeof operand === "object") {
    const constant = parsed(operand.number);
    return () => constant;
  }
  const numbers = registers[operand], shape = shapes[operand];
  if (numbers.length === 1) return () => numbers[0];
  if (numbers.length === sizeOf(out)) return (i) => numbers[i];
  const positions = broadcastPositions(shape, out);
  return (i) => numbers[positions[i]];
}

const whole = (operand, registers) => (typeof operand === "object" ? [parsed(operand.number)] : registers[operand]);

// Runs a small function of scalars.
function scalarFunction(program) {
  const steps = program.code, inputs = program.shapes.length;
  return (args) => {
    const registers = args.slice(0, inputs);
    for (const step of steps) {
      const store = storing(step.dtype);
      if (step.do === "constant") registers[step.to] = parsed(step.data[0]);
      else registers[step.to] = store(SCALAR[step.name](...step.of.map((x) => (typeof x === "object" ? parsed(x.number) : registers[x]))));
    }
    return program.outputs.map((register) => registers[register]);
  };
}

const RUN = {
  constant: (instruction) => instruction.data.map(parsed),
  reshape: (instruction, registers) => registers[instruction.of[0]],
  map(instruction, registers, shapes) {
    const f = SCALAR[instruction.name], store = storing(instruction.dtype), out = instruction.shape;
    const read = instruction.of.map((operand) => reader(operand, registers, shapes, out));
    return Array.from({ length: sizeOf(out) }, (_, i) => store(f(...read.map((entry) => entry(i)))));
  },
  gather(instruction, registers) {
    const x = whole(instruction.of[0], registers);
    return instruction.table.map((position) => x[position]);
  },
  scatter(instruction, registers) {
    const x = whole(instruction.of[0], registers), store = storing(instruction.dtype);
    const y = new Array(sizeOf(instruction.shape)).fill(0);
    instruction.table.forEach((position, i) => { y[position] = store(y[position] + x[i]); });
    return y;
  },
  join(instruction, registers) {
    const { axis, sizes, shape } = instruction, inner = sizeOf(shape.slice(axis + 1)), outer = sizeOf(shape.slice(0, axis));
    const y = [], parts = instruction.of.map((operand) => whole(operand, registers));
    for (let row = 0; row < outer; row++) {
      parts.forEach((part, k) => y.push(...part.slice(row * sizes[k] * inner, (row + 1) * sizes[k] * inner)));
    }
    return y;
  },
  contract(instruction, registers) {
    const { labels, sizes, shapes } = instruction, store = storing(instruction.dtype);
    const names = [...labels[2], ...Object.keys(sizes).filter((label) => !labels[2].includes(label))];
    const [x1, x2] = instruction.of.map((operand) => whole(operand, registers));
    const step = [0, 1, 2].map((k) => {
      const shape = k < 2 ? shapes[k] : instruction.shape, strides = stridesOf(shape);
      return names.map((name) => [...labels[k]].reduce((sum, label, axis) => sum + (label === name && shape[axis] > 1 ? strides[axis] : 0), 0));
    });
    const y = new Array(sizeOf(instruction.shape)).fill(0);
    const at = [0, 0, 0];
    const loop = (depth) => {
      if (depth === names.length) { y[at[2]] = store(y[at[2]] + store(x1[at[0]] * x2[at[1]])); return; }
      const before = at.slice();
      for (let i = 0; i < sizes[names[depth]]; i++) {
        loop(depth + 1);
        for (const k of [0, 1, 2]) at[k] += step[k][depth];
      }
      for (const k of [0, 1, 2]) at[k] = before[k];
    };
    loop(0);
    return y;
  },
  reduce(instruction, registers) {
    const { axis, init, from } = instruction, x = whole(instruction.of[0], registers);
    const combine = scalarFunction(instruction.combine), finish = scalarFunction(instruction.finish), store = storing(instruction.dtype);
    const kept = from.map((size, k) => (axis.includes(k) ? 1 : size)), strides = stridesOf(from), out = stridesOf(kept);
    const states = Array.from({ length: sizeOf(kept) }, () => init.map(parsed));
    x.forEach((entry, i) => {
      let to = 0;
      from.forEach((size, k) => { if (!axis.includes(k)) to += (Math.floor(i / strides[k]) % size) * out[k]; });
      states[to] = combine([...states[to], entry]);
    });
    return states.map((state) => store(finish(state)[0]));
  },
  scan(instruction, registers) {
    const { axis, shape } = instruction, operands = instruction.of.map((operand) => whole(operand, registers));
    const combine = scalarFunction(instruction.combine), store = storing(instruction.dtype), step = stridesOf(shape)[axis];
    const y = new Array(sizeOf(shape));
    for (let i = 0; i < y.length; i++) {
      const isFirst = Math.floor(i / step) % shape[axis] === 0, last = operands[operands.length - 1];
      y[i] = store(isFirst ? last[i] : combine([y[i - step], ...operands.map((x) => x[i])])[0]);
    }
    return y;
  },
};
