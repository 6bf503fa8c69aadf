"""Pages in a real browser: every number that is shown is the library's, at every step, and after a slider has moved."""

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.view.number import ABSENT, short
from bprop.view.page import render
from bprop.view.page_data import figure_data
from bprop.view.program import FUNCTIONS
from bprop.view.server import PageServer
from support.browser import chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page from a file; at the end there was no error and no request but for the file itself."""
    contexts, problems = [], []

    def open_page(view, **options):
        path = tmp_path / f"{len(contexts)}.html"
        view.save(path)
        page = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(page)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: problems.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for page in contexts:
        page.close()
    assert problems == []


def energy(w, x, t):
    return (t - np.tanh(w * x)) ** 2


def fan_out(x, y):
    a = x * y
    return np.sin(a) * a + np.exp(a) / y


def layers(W, x, t):
    h = np.tanh(W @ x)
    return np.sum((t - bprop.softmax(h)) ** 2) + bprop.logsumexp(x) * x[0]


EXAMPLES = {
    "scalar": (energy, (0.7, 1.0, 0.5)),
    "fan-out": (fan_out, (0.8, -1.3)),
    "arrays": (layers, (np.array([[0.3, -0.2], [0.5, 0.1], [1.0, 2.0]]), np.array([0.4, -0.6]), np.array([0.1, 0.2, 0.7]))),
    "selection": (lambda x, y: np.maximum(x, y) * x + np.where(x > y, y, 2.0), (2.0, 1.0)),
    "float32": (lambda x: np.sum(np.sqrt(x) * 3), (np.array([1.0, 2.0, 5.0], np.float32),)),
    "running": (lambda x: np.sum(np.cumsum(x) ** 2) + np.prod(x), (np.array([1.5, -2.0, 0.5]),)),
    "joined": (lambda x, y: np.sum(np.concatenate([x, y * 2]) ** 3) + np.max(x), (np.array([1.0, 2.0]), np.array([3.0]))),
    "labels": (
        lambda x, t: nn.CrossEntropy()(x, t) + bprop.take(x, t, axis=1)[0, 1],
        (np.array([[0.1, 2.0, -1.0], [0.5, 0.3, 0.2]]), np.array([2, 0])),
    ),
    "network": (
        lambda m, x: bprop.sum(m(x) ** 2),
        (nn.Sequential(nn.Linear(2, 3, dtype="float64", seed=0), nn.Tanh(), nn.Linear(3, 1, dtype="float64", seed=1)), np.ones(2)),
    ),
}  # fmt: skip


def exact(text):
    return None if text == "absent" else float(text.replace("Infinity", "inf"))


def state(page):
    """What the page computes and shows: value and gradient of every name, and the text in every box."""
    return page.evaluate(
        """() => { const figure = FIGURES[0], { model } = figure, state = figure.steps.state();
        return model.data.values.map((value, index) => ({
            name: value.name, numbers: model.values[index].map(String),
            bar: state.bars.has(index) ? state.bars.get(index).numbers.map(String) : null,
            present: state.bars.get(index)?.present || null,
            computed: state.computed.has(index),
            texts: [...figure.graph.boxes[value.box].querySelectorAll(".value")].map((text) => text.textContent),
            bars: [...figure.graph.boxes[value.box].querySelectorAll(".gradient")].map((text) => text.textContent) })) }"""
    )


def close(got, expected, bound=1e-9):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    np.testing.assert_allclose(
        got, expected, rtol=bound, atol=bound * max(1e-300, np.nanmax(np.abs(expected), initial=0))
    )


def same_as_library(shown, view, bound=1e-9):
    """The numbers of the page at its last step, and the texts of its boxes, are the library's."""
    assert len(shown) == len(view.rows)
    for entry, row in zip(shown, view.rows, strict=True):
        close([exact(x) for x in entry["numbers"]], row.value.numpy().ravel(), bound)
        assert (entry["bar"] is None) == (row.gradient is None), entry["name"]
        if row.gradient is None:
            continue
        close([exact(x) for x in entry["bar"]], row.gradient.numpy().ravel(), bound)
        present = np.ones(row.gradient.shape) if row.present is None else row.present
        assert np.array_equal(np.ravel(present), entry["present"] or np.ones(row.gradient.size)), entry["name"]
        if row.value.shape == ():
            assert entry["texts"] == [short(float(entry["numbers"][0]))]
            assert entry["bars"] == [short(float(entry["bar"][0])) if np.all(present) else ABSENT]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_steps_through_both_passes_with_the_librarys_numbers(name, opened):
    f, args = EXAMPLES[name]
    view = bprop.view(f, *args)
    page = opened(view)
    bound = 1e-4 if name == "float32" else 1e-9
    assert page.inner_text("[data-part=badge]") == "✓ page = library", page.get_attribute("[data-part=badge]", "title")
    same_as_library(state(page), view, bound)
    data = figure_data(view)
    page.keyboard.press("Home")
    steps = int(page.inner_text("[data-part=position]").split("/")[1])
    backward = [node for node in data["nodes"] if node["backward"]]
    assert steps == 1 + len(data["nodes"]) + 1 + len(backward) + 1
    for node in data["nodes"]:
        page.keyboard.press("ArrowRight")
        (title,) = page.locator(".card h3").all_inner_texts()
        assert title.startswith("Forward")
        shown = [exact(x) for x in numbers_in(page, ".card .value")]
        expected = [x for index in node["outputs"] for x in np.ravel(view.rows[index].value.numpy())]
        close(shown, expected, bound)
    page.keyboard.press("ArrowRight")
    assert numbers_in(page, ".card .gradient") == ["1"]
    for node in reversed(backward):
        page.keyboard.press("ArrowRight")
        sent = numbers_in(page, ".card .operand")
        assert sent
        check_card(page, node, view, bound)
    page.keyboard.press("ArrowRight")
    assert page.inner_text("[data-part=position]") == f"{steps}/{steps}"
    same_as_library(state(page), view, bound)


def numbers_in(page, selector):
    """All numbers that a part of the page shows, exactly; each is written in four digits as Python writes it."""
    found = page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)].flatMap((part) => part.dataset.exact !== undefined ? [part] :
           [...part.querySelectorAll("[data-exact]")]).map((part) => [part.dataset.exact, part.textContent])""",
        selector,
    )
    for number, text in found:
        assert text in (short(exact(number)) if number != "absent" else ABSENT, str(bool(exact(number) or 0)))
    return [number for number, _ in found]


def check_card(page, node, view, bound):
    """Local derivative times incoming gradient is the product; the sum that is complete is the library's gradient."""
    for operand, receive in zip(page.locator(".operand").all(), node["backward"]["receives"], strict=True):
        row = view.rows[receive["value"]]
        lines = operand.locator("dd").all()
        entries = [[exact(x.get_attribute("data-exact")) for x in line.locator("[data-exact]").all()] for line in lines]
        if len(entries) == 3:
            (local,), (incoming, factor, product) = entries[0][-1:], entries[1]
            assert local == factor
            if local is not None and incoming is not None and product is not None:
                close(product, incoming * local, bound)
        if "complete" in lines[-1].inner_text():
            total = [0.0 if x is None else x for x in entries[-1][-row.gradient.size :]]
            close(total, row.gradient.numpy().ravel(), bound)


def test_a_slider_moves_every_value_and_gradient(opened):
    for name in ("scalar", "fan-out", "arrays", "selection"):
        f, args = EXAMPLES[name]
        page = opened(bprop.view(f, *args))
        slider = page.locator('.slider[data-value="0"][data-entry="0"] input[type=range]')
        slider.fill(str(float(slider.get_attribute("min")) + 0.25 * float(slider.get_attribute("step")) * 1000))
        moved = float(page.evaluate("FIGURES[0].model.values[0][0]"))
        first = np.array(args[0], float)
        assert moved != first.ravel()[0]
        first.ravel()[:1] = moved
        if first.ndim == 0:
            first = moved
        same_as_library(state(page), bprop.view(f, first, *args[1:]))
        box = page.locator('.slider[data-value="0"][data-entry="0"] input[type=number]')
        box.fill("0.123456789")
        box.press("Enter")
        assert page.evaluate("FIGURES[0].model.values[0][0]") == 0.123456789
        page.click(".reset-all")
        same_as_library(state(page), bprop.view(f, *args))


def test_the_paths_of_a_value_are_those_of_the_library(opened):
    page = opened(bprop.view(fan_out, 0.8, -1.3))
    page.locator('.box[data-box="0"]').click()
    paths = list(bprop.paths(fan_out)(0.8, -1.3).enumerate())
    products = [exact(x) for x in numbers_in(page, ".paths .product")]
    close(sorted(products), sorted(path.product for path in paths))
    assert sum(products) == pytest.approx(bprop.grad(fan_out)(0.8, -1.3).item(), rel=1e-12)
    page.locator(".paths button").first.click()
    lit = page.locator(".view .arrow.lit").count()
    assert lit == len(page.locator(".paths button").first.inner_text().split(":")[0].split("→")) - 1


def test_a_graph_without_rules_in_the_page_goes_forward_and_says_so(opened):
    def f(x):
        for _ in range(150):
            x = x * 1.01 - 0.5
        return x

    view = bprop.view(f, 1.0)
    page = opened(view)
    same_as_library(state(page), view)
    for part in ("sliders", "paths"):
        page.evaluate("FIGURES[0].select(0)")
        assert "the graph has 300 applications" in page.inner_text(f"[data-part={part}]")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert "Forward 1 of 300" in page.inner_text(".card")


def test_a_wrong_order_breaks_a_number_and_says_which_and_why(opened):
    page = opened(bprop.view(fan_out, 0.8, -1.3))
    page.locator("[data-part=order]").check()
    page.keyboard.press("End")
    text = page.inner_text(".card .warning")
    assert "∂E/∂x" in text
    assert "1 of" in text or "2 of" in text
    expected = bprop.grad(fan_out)(0.8, -1.3).item()
    shown = state(page)[0]
    assert float(shown["bar"][0]) != pytest.approx(expected)
    assert shown["bars"][0].endswith("✗")
    page.locator("[data-part=order]").uncheck()
    page.keyboard.press("End")
    same_as_library(state(page), bprop.view(fan_out, 0.8, -1.3))


def test_where_no_value_is_used_twice_every_order_is_right(opened):
    page = opened(bprop.view(energy, 0.7, 1.0, 0.5))
    page.locator("[data-part=order]").check()
    assert "every order" in page.inner_text("[data-part=order-note]")


def test_both_modes_are_counted_and_meet(opened):
    page = opened(bprop.view(fan_out, 0.8, -1.3))
    page.locator("summary", has_text="Forward mode").click()
    edges = figure_data(bprop.view(fan_out, 0.8, -1.3))["sweeps"]
    assert page.inner_text(".forward-count") == str(sum(edges["forward"]))
    assert page.inner_text(".reverse-count") == str(edges["backward"])
    tangents = [exact(x) for x in numbers_in(page, ".tangents .tangent")]
    gradients = [exact(x) for x in numbers_in(page, ".tangents .gradient")]
    assert tangents[-1] == pytest.approx(gradients[0], rel=1e-12)
    _, y_dot = bprop.jvp(fan_out, (0.8, -1.3), (1.0, 0.0))
    assert tangents[-1] == pytest.approx(y_dot.item(), rel=1e-12)


def test_an_operation_count_by_hand(opened):
    sweeps = figure_data(bprop.view(lambda x, y: x * y, 2.0, 3.0))["sweeps"]
    assert sweeps == {"inputs": 2, "backward": 2, "forward": [1, 1]}


def test_a_python_if_that_would_be_decided_otherwise_is_told(opened):
    def f(x):
        return x * x if x > 0 else -x

    page = opened(bprop.view(f, 1.0))
    assert "x > 0" in page.inner_text("[data-part=notes]")
    box = page.locator(".slider input[type=number]")
    box.fill("-1")
    box.press("Enter")
    assert "Other branch: x > 0" in page.inner_text("[data-part=stale]")
    box.fill("2")
    box.press("Enter")
    assert page.inner_text("[data-part=stale]") == ""


def test_what_no_page_computes_is_named_and_its_numbers_stand(opened):
    view = bprop.view(lambda x: bprop.linalg.det(x) + np.sum(x * x), np.array([[2.0, 1.0], [0.0, 3.0]]))
    page = opened(view)
    assert page.inner_text("[data-part=badge]") == "numbers by the library"
    assert "det cannot be computed in a page" in page.inner_text("[data-part=sliders]")
    same_as_library(state(page), view)
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    assert page.locator(".card .operand").count() == 2


def test_a_page_that_computes_other_numbers_lets_nothing_be_changed(browser):
    html = render("f", [bprop.view(energy, 0.7, 1.0, 0.5)]).replace(
        "tanh: Math.tanh", "tanh: (x) => 1.01 * Math.tanh(x)"
    )
    page = browser.new_page()
    page.set_content(html)
    assert page.inner_text("[data-part=badge]") == "✗ page ≠ library"
    assert page.locator(".slider").count() == 0
    assert page.evaluate("FIGURES[0].model.values[4][0]") == bprop.view(energy, 0.7, 1.0, 0.5).rows[4].value.item()
    page.close()


def test_marks_of_what_is_no_ordinary_number(opened):
    view = bprop.view(lambda x, y, z, u: np.log(x) * 0 + y + 0 * z + np.maximum(u, 5.0), 0.0, np.inf, 0.0, 1.0)
    page = opened(view)
    texts = page.evaluate(
        "[...document.querySelectorAll('.view .value, .view .gradient')].map((text) => text.textContent)"
    )
    assert {"NaN", "∞", "−∞", "0", ABSENT} <= set(texts)
    same_as_library(state(page), view)


def test_no_scalar_goes_forward_only_and_says_so(opened):
    page = opened(bprop.view(lambda x: x * 2, np.ones(3)))
    assert "forward only" in page.inner_text(".card")
    assert page.inner_text("[data-part=position]") == "3/3"
    assert page.locator(".view .gradient").count() == 0
    page.locator(".slider input[type=number]").first.fill("5")
    page.keyboard.press("Enter")
    assert page.evaluate("FIGURES[0].model.values[1][0]") == 10


def test_names_are_shown_and_never_run(opened):
    class Point(dict):
        pass

    names = {"<script>alert(1)</script>": 1.0, "größe": 2.0, "]]>&lt;": 3.0, "a" * 80: 4.0}
    view = bprop.view(lambda p: sum(value * value for value in p.values()), names)
    page = opened(view)
    text = page.evaluate("document.querySelector('svg').textContent")
    assert "<script>alert(1)</script>" in text
    assert "größe" in text
    assert "a" * 80 in page.evaluate("document.querySelector('.sliders').textContent")
    assert page.inner_text("[data-part=badge]") == "✓ page = library"


def test_keyboard_reaches_every_box_and_the_page_fits_a_small_screen(opened):
    page = opened(bprop.view(fan_out, 0.8, -1.3), viewport={"width": 400, "height": 800}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    boxes = page.locator(".view .box").count()
    assert page.locator('.view .box[tabindex="0"]').count() == 1
    page.locator('.view .box[tabindex="0"]').focus()
    reached = {page.evaluate("document.activeElement.dataset.box")}
    for _ in range(boxes):
        page.keyboard.press("ArrowDown")
        reached.add(page.evaluate("document.activeElement.dataset.box"))
    assert len(reached) == boxes
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    assert page.get_attribute(".card", "aria-live") == "polite"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 23, 27)"
    page.click("[data-part=theme]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_page_has_every_instruction_that_programs_use(opened):
    page = opened(bprop.view(energy, 0.7, 1.0, 0.5))
    assert set(page.evaluate("Object.keys(SCALAR)")) == FUNCTIONS


FLOATS = [0.5, -1.3, 0.1, 2.0, 3.7, -0.25, 1e-6, 12.5, -7.0, 1e-300, 0.0, 25.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_instructions_are_numpys(dtype, opened):
    import scipy.special

    page = opened(bprop.view(energy, 0.7, 1.0, 0.5))
    names = {"cast": "positive", "pow": "power", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh",
             "acosh": "arccosh", "atanh": "arctanh", "atan2": "arctan2", "round": "rint"}  # fmt: skip
    for name in sorted(FUNCTIONS):
        function = getattr(scipy.special, name, None) if name in ("erf", "erfc") else getattr(np, names.get(name, name))
        count = 3 if name == "where" else function.nin
        xs = np.array([[x, y, x - y][:count] for x in FLOATS for y in FLOATS], dtype)
        if name == "where":
            xs[:, 0] = xs[:, 0] > 0
        with np.errstate(all="ignore"):
            columns = xs.astype("float64").T
            expected = function(columns[0].astype(bool), *columns[1:]) if name == "where" else function(*columns)
        got = page.evaluate(
            "([name, xs]) => xs.map((x) => String(SCALAR[name](...x)))", [name, xs.astype("float64").tolist()]
        )
        got = np.array([float(x.replace("Infinity", "inf")) for x in got])
        np.testing.assert_allclose(got, np.asarray(expected, float), rtol=4e-14, atol=0, err_msg=name)


def test_numbers_are_written_alike(opened):
    page = opened(bprop.view(energy, 0.7, 1.0, 0.5))
    generator = np.random.default_rng(0)
    numbers = [*(generator.standard_normal(300) * 10.0 ** generator.integers(-12, 12, 300)), 1234.5, 0.00012345, 99999.5, 999999.5,
               1e5, 1e6, 5e-324, 1.7976931348623157e308, 0.5, -0.0, 12345.0, 0.99995, 9.9995e-5]  # fmt: skip
    texts = page.evaluate("(xs) => xs.map((x) => short(Number(x)))", [repr(float(x)) for x in numbers])
    assert texts == [short(float(x)) for x in numbers]


def test_a_served_page_wants_its_token(browser):
    view = bprop.view(energy, 0.7, 1.0, 0.5)
    with PageServer(render("energy", [view])) as server:
        page, problems = browser.new_page(), []
        page.on("request", lambda request: problems.append(request.url) if request.url != server.url else None)
        assert page.goto(f"http://127.0.0.1:{server.port}/").status == 403
        assert page.goto(server.url[:-1]).status == 403
        problems.clear()
        assert page.goto(server.url).status == 200
        assert page.inner_text("[data-part=badge]") == "✓ page = library"
        assert problems == []
        page.close()


def test_a_notebook_shows_the_page_in_a_frame_over_the_table(browser):
    html = bprop.view(energy, 0.7, 1.0, 0.5)._repr_html_()
    page = browser.new_page()
    page.set_content(f"<!doctype html><body>{html}</body>")
    page.frame_locator("iframe").locator("[data-part=badge]", has_text="✓").wait_for(state="attached")
    assert "computed as" in page.inner_text("table")
    page.close()
