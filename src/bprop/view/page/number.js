// Numbers as text: four significant digits, a true minus, marks for what is no ordinary number. `number.py` writes the same.
const ABSENT = "∅";

function short(x) {
  if (x === null || x === undefined) return ABSENT;
  if (Number.isNaN(x)) return "NaN";
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  const minus = x < 0 ? "−" : "";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e6) return minus + size;
  let [mantissa, exponent] = size.toExponential(3).split("e");
  exponent = Number(exponent);
  if (exponent > -5 && exponent < 6) {
    const text = exponent > 3 ? String(Math.round(Number(mantissa) * 10 ** 3) * 10 ** (exponent - 3)) : size.toFixed(Math.max(0, 3 - exponent));
    return minus + (text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text);
  }
  mantissa = mantissa.includes(".") ? mantissa.replace(/0+$/, "").replace(/\.$/, "") : mantissa;
  return `${minus}${mantissa}e${exponent < 0 ? "−" : ""}${Math.abs(exponent)}`;
}

// All 17 digits, for what a pointer is held over.
function exact(x) {
  return x === null || x === undefined ? "absent: no path, or a branch that was not taken" : String(x).replace("-", "−");
}

function parsed(x) {
  return typeof x === "string" ? Number(x) : x;  // "NaN", "Infinity"
}

// The numbers of a value on one line, as a box of the drawing shows them.
function brief(value, numbers, present) {
  if (!numbers) return ABSENT;
  const entry = (i) => (present && !present[i] ? ABSENT : value.dtype === "bool" ? (numbers[i] ? "True" : "False") : short(numbers[i]));
  if (!value.shape.length) return entry(0);
  if (!numbers.length) return "[]";
  const count = numbers.length > 4 ? 3 : numbers.length;
  const entries = Array.from({ length: count }, (_, i) => entry(i));
  if (numbers.length > 4) entries.push("…");
  const text = (value.shape.length > 1 ? value.shape.join("×") + " " : "") + `[${entries.join(", ")}]`;
  return text.length <= 34 ? text : text.slice(0, 32) + "…]";
}
