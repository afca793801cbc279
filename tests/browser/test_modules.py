"""The page's modules that draw nothing, in the browser that runs them."""

import pytest

NONE = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1234.5678, "1,235"),
        (0.0123456, "0.01235"),
        (1234567.8, "1,234,568"),
        (1e-7, "1E-7"),
        (-2.5, "-2.5"),
        (None, NONE),
    ],
)
def test_numbers_have_the_digits_that_matter(run, value, words):
    """Four of them, all before the point, and a dash where there is none."""
    assert run("format.js", "(m, value) => m.number(value === null ? NaN : value)", value) == words


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        ("integer", "1234567", "1,234,567"),
        ("percent", 0.8125, "81.3 %"),
        ("bytes", "3400000", "3.4 MB"),
        ("bytes", 12, "12 B"),
        ("duration", 0.00034, "340 \N{MICRO SIGN}s"),
        ("duration", 150, "2.5 min"),
        ("duration", 0, "0 s"),
        ("time", "1709298000000000", "2024-03-01 13:00 UTC"),
        ("time", "1709298000500000", "2024-03-01 13:00:00.5 UTC"),
        ("time", None, NONE),
        ("shortTime", 1709298000000000, "1 Mar 13:00"),
        ("tickTimes", [1709244000, 1709247600, 1709251200], ["22:00\n29 Feb 2024", "23:00", "00:00\n1 Mar"]),
    ],
)
def test_quantities_have_their_units(run, function, value, words):
    """As people write them, times in UTC."""
    assert run("format.js", f"(m, value) => m.{function}(value)", value) == words


@pytest.mark.parametrize(
    ("frequency", "start", "steps", "expected"),
    [
        ("h", "2024-03-01T13:00Z", 2, "2024-03-01T15:00:00.000Z"),
        ("15min", "2024-03-01T13:00Z", 3, "2024-03-01T13:45:00.000Z"),
        ("W-SAT", "2024-03-02T00:00Z", 1, "2024-03-09T00:00:00.000Z"),
        ("MS", "2024-01-01T00:00Z", 2, "2024-03-01T00:00:00.000Z"),
        ("ME", "2024-01-31T00:00Z", 1, "2024-02-29T00:00:00.000Z"),
        ("QS", "2024-01-01T00:00Z", -1, "2023-10-01T00:00:00.000Z"),
        ("D", "2024-02-28T00:00Z", 2, "2024-03-01T00:00:00.000Z"),
    ],
)
def test_steps_follow_the_calendar(run, frequency, start, steps, expected):
    """Hours and weeks by their length, months by their names; and back again."""
    body = """(m, [frequency, start, steps]) => {
        const from = Date.parse(start) / 1000;
        const to = new m.Frequency(frequency).after(from, steps);
        return [new Date(to * 1000).toISOString(), new m.Frequency(frequency).between(from, to)];
    }"""
    assert run("frequency.js", body, [frequency, start, steps]) == [expected, steps]


def test_rows_of_one_message_are_shown_frame_by_frame(run):
    """The first at once; of more than come in a tenth of a second several a frame; all when it is left."""
    body = """async ({ Pacer }, num) => {
        const shown = [], counts = [];
        const pacer = new Pacer((row) => shown.push(row));
        for (let row = 0; row < num; row += 1) pacer.put(row);
        counts.push(shown.length);
        while (shown.length < num) {
            await new Promise(requestAnimationFrame);
            counts.push(shown.length);
        }
        for (const row of [num, num + 1, num + 2]) pacer.put(row);
        counts.push(shown.length);
        pacer.stop();
        return [counts, shown.length, shown.every((row, at) => row === at)];
    }"""
    assert run("pacer.js", body, 5) == [[1, 2, 3, 4, 5, 5], 8, True]
    assert run("pacer.js", body, 15) == [[1, 4, 6, 8, 10, 11, 12, 13, 14, 15, 15], 18, True]


def test_rows_that_were_not_seen_are_neither_missing_nor_judged(run):
    """As after a connection that broke; rows that were left out of a fast stream neither."""
    body = """(m) => {
        const info = { levels: [0.1, 0.5, 0.9], labels: [], horizon: 2, features: [], numColumns: 3 };
        const log = new m.SeriesLog(info);
        const row = (position, num_skipped = 0) => log.add({
            position, num_skipped, num_missing_steps: 0, time_us: null, values: [1],
            forecast: Float64Array.of(0, 1, 2, 0, 1, 2), tail: NaN,
        });
        return [row(1), row(2), row(9), row(13, 3)].map((seen) => [seen.isUnseen, seen.gap, log.score.num])
            .concat([[log.num_missing, log.num_thinned, log.score.num]]);
    }"""
    assert run("series_log.js", body) == [
        [False, 0, 1], [False, 0, 1], [True, 0, 1], [False, 0, 1], [0, 3, 1],
    ]  # fmt: skip
