// Functions of numbers, by the names of the library's native instructions.
const truth = (x) => (x ? 1 : 0);

function roundHalfEven(x) {
  const floor = Math.floor(x), rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 && rest >= 0 ? floor : Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function floorDivide(x, y) {
  if (y === 0) return x / y;
  const quotient = (x - remainder(x, y)) / y, floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;  // the difference was rounded
}

function remainder(x, y) {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

// erf(x) = 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!, all terms of one sign (Abramowitz & Stegun 7.1.6).
function erfSeries(x) {
  let term = x, sum = x;
  for (let n = 1; n < 200 && Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

// erfc(x) for x ≥ 2, a continued fraction evaluated from its end (Abramowitz & Stegun 7.1.14).
function erfcFraction(x) {
  let tail = 0;
  for (let n = 120; n > 0; n--) tail = n / 2 / (x + tail);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail);
}

const erf = (x) => (Number.isNaN(x) ? NaN : Math.abs(x) < 2.5 ? erfSeries(x) : x > 0 ? 1 - erfcFraction(x) : erfcFraction(-x) - 1);
const erfc = (x) => (Number.isNaN(x) ? NaN : x > 1.5 ? erfcFraction(x) : x < -1.5 ? 2 - erfcFraction(-x) : 1 - erfSeries(x));

// Math.pow is NumPy's, but for 1 to the power of NaN and -1 to that of infinity.
const power = (x, y) => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : Math.pow(x, y));
const larger = (x, y) => (Number.isNaN(x) || Number.isNaN(y) ? NaN : x > y ? x : y);
const smaller = (x, y) => (Number.isNaN(x) || Number.isNaN(y) ? NaN : x < y ? x : y);
const copysign = (x, y) => (y < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x));

const SCALAR = {
  cast: (x) => x,
  exp: Math.exp, expm1: Math.expm1, log: Math.log, log1p: Math.log1p, log2: Math.log2, log10: Math.log10,
  exp2: (x) => Math.pow(2, x),
  add: (x, y) => x + y, subtract: (x, y) => x - y, multiply: (x, y) => x * y, divide: (x, y) => x / y,
  negative: (x) => -x, abs: Math.abs, floor_divide: floorDivide, remainder, pow: power,
  sqrt: Math.sqrt, cbrt: Math.cbrt, hypot: Math.hypot, tanh: Math.tanh, erf, erfc,
  less: (x, y) => truth(x < y), less_equal: (x, y) => truth(x <= y),
  greater: (x, y) => truth(x > y), greater_equal: (x, y) => truth(x >= y),
  equal: (x, y) => truth(x === y), not_equal: (x, y) => truth(x !== y),
  logical_and: (x, y) => truth(x && y), logical_or: (x, y) => truth(x || y),
  logical_xor: (x, y) => truth(!x !== !y), logical_not: (x) => truth(!x),
  isnan: (x) => truth(Number.isNaN(x)), isinf: (x) => truth(Math.abs(x) === Infinity), isfinite: (x) => truth(Number.isFinite(x)),
  floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, round: roundHalfEven,
  copysign, signbit: (x) => truth(x < 0 || Object.is(x, -0)),
  sin: Math.sin, cos: Math.cos, tan: Math.tan, asin: Math.asin, acos: Math.acos, atan: Math.atan,
  sinh: Math.sinh, cosh: Math.cosh, asinh: Math.asinh, acosh: Math.acosh, atanh: Math.atanh, atan2: Math.atan2,
  where: (c, x, y) => (c ? x : y), maximum: larger, minimum: smaller,
};

// What storing in a dtype does to a number.
function storing(dtype) {
  if (dtype === "float32") return Math.fround;
  if (dtype === "bool") return truth;
  if (/^u?int/.test(dtype)) return Math.trunc;
  return (x) => x;
}
