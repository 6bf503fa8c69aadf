// The decision boundary of a network with two inputs, and the space of two hidden units, epoch by epoch.
const COLOURS = ["#0072b2", "#c04f00", "#008262", "#a0447f", "#7a6000", "#4b6f8a"];

function plane(section) {
  const data = JSON.parse(section.querySelector('[data-part="plane-data"]').textContent);
  const slider = section.querySelector('[data-part="epoch"]'), shown = section.querySelector('[data-part="shown"]');
  const classes = [...new Set(data.labels)].sort((a, b) => a - b);
  const discrete = classes.length <= 6;
  const at = (frame, canvas, [x, y]) => [
    (x - frame.low[0]) / (frame.high[0] - frame.low[0]) * canvas.width,
    canvas.height - (y - frame.low[1]) / (frame.high[1] - frame.low[1]) * canvas.height,
  ];
  const share = (number) => {
    const [low, high] = [Math.min(...data.labels), Math.max(...data.labels)];
    return Math.min(1, Math.max(0, (number - low) / (high - low || 1)));
  };
  const mark = (context, x, y, label) => {
    const index = discrete ? classes.indexOf(label) : 0;
    context.fillStyle = discrete ? COLOURS[index] : `rgb(${Math.round(192 * share(label))}, 90, ${Math.round(178 * (1 - share(label)))})`;
    context.strokeStyle = "#fff";
    context.beginPath();
    if (index % 2) context.rect(x - 4, y - 4, 8, 8); else context.arc(x, y, 4.5, 0, 7);
    context.fill();
    context.stroke();
  };
  const inputs = (canvas, frame) => {
    const context = canvas.getContext("2d"), n = Math.sqrt(frame.said.length), size = canvas.width / n;
    context.clearRect(0, 0, canvas.width, canvas.height);
    frame.said.forEach((said, position) => {
      const column = position % n, row = n - 1 - Math.floor(position / n);
      const whole = discrete && classes.length > 2;
      context.globalAlpha = 0.3;
      context.fillStyle = whole ? COLOURS[Math.max(0, classes.indexOf(said))] : said > (classes[0] + classes[classes.length - 1]) / 2 ? COLOURS[1] : COLOURS[0];
      if (!whole) context.globalAlpha = 0.08 + 0.4 * Math.abs(2 * share(said) - 1);
      context.fillRect(column * size, row * size, size + 0.5, size + 0.5);
    });
    context.globalAlpha = 1;
    data.points.forEach((point, i) => mark(context, ...at(frame, canvas, point), data.labels[i]));
  };
  const features = (canvas, frame) => {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!frame.features) return;
    const side = (axis) => frame.features.map((point) => point[axis]);
    const low = [0, 1].map((axis) => Math.min(...side(axis)) - 0.1), high = [0, 1].map((axis) => Math.max(...side(axis)) + 0.1);
    frame.features.forEach((point, i) => mark(context, ...at({ low, high }, canvas, point), data.labels[i]));
  };
  const show = () => {
    const frame = data.frames[Number(slider.value)];
    shown.textContent = String(frame.epoch);
    inputs(section.querySelector('[data-part="inputs"]'), frame);
    const second = section.querySelector('[data-part="features"]');
    if (second) features(second, frame);
  };
  slider.addEventListener("input", show);
  show();
}
document.querySelectorAll('[data-part="plane"]').forEach(plane);
