# SPDX-License-Identifier: MIT

from __future__ import annotations

import pytest

from fuzz.progress import BY_ELEMENTS, GUIDED_LEAST, GUIDED_MOST, SETTLED, Phase, Progress, coverage

SIZE = 10_000_000


def done(**inputs):
    return Progress({Phase(name): (count, 1.0) for name, count in inputs.items()})


def test_what_is_written_down_is_read_again_and_added_to(tmp_path):
    assert Progress.read(tmp_path) == Progress({})

    Progress({}).with_more(Phase.GUIDED, 5, 1.5).write(tmp_path)
    progress = Progress.read(tmp_path).with_more(Phase.GUIDED, 2, 0.5).with_more(Phase.OCTETS, 3, 4.0)

    assert progress == Progress({Phase.GUIDED: (7, 2.0), Phase.OCTETS: (3, 4.0)})
    assert progress.inputs == 10


@pytest.mark.parametrize(
    ("progress", "settled", "phase"),
    [
        (done(), False, Phase.GUIDED),
        (done(guided=GUIDED_MOST - 1), False, Phase.GUIDED),
        (done(guided=GUIDED_MOST), False, Phase.ELEMENTS),
        (done(guided=GUIDED_LEAST), True, Phase.ELEMENTS),
        (done(guided=GUIDED_LEAST, elements=BY_ELEMENTS), True, Phase.OCTETS),
        (done(guided=GUIDED_LEAST, elements=BY_ELEMENTS, octets=SIZE), True, None),
    ],
)
def test_guidance_comes_first_then_elements_then_octets(progress, settled, phase):
    assert progress.next_phase(SIZE, settled=settled) is phase


def test_all_phases_together_have_the_inputs_that_are_wanted():
    progress = done()
    while phase := progress.next_phase(SIZE, settled=False):
        progress = progress.with_more(phase, progress.left(phase, SIZE), 1.0)

    assert progress.inputs == SIZE
    assert progress.inputs_of(Phase.GUIDED) == GUIDED_MOST
    assert progress.inputs_of(Phase.ELEMENTS) == BY_ELEMENTS


def test_a_small_run_is_guided_throughout():
    assert done().left(Phase.GUIDED, 20_000) == 20_000
    assert done(guided=20_000).next_phase(20_000, settled=False) is None


def test_guidance_ends_when_nothing_new_was_reached_for_long_but_not_early():
    assert done().settled(GUIDED_LEAST, SETTLED)
    assert done(guided=GUIDED_LEAST).settled(SETTLED, SETTLED)
    assert not done().settled(GUIDED_LEAST - 1, SETTLED)
    assert not done().settled(GUIDED_LEAST, SETTLED - 1)


def test_the_coverage_is_what_the_fuzzer_told_last(tmp_path):
    assert coverage(tmp_path) == ""

    (tmp_path / "log").write_text("#2 INITED cov: 5 ft: 6\n#9 NEW cov: 17 ft: 20\nnothing\n")

    assert coverage(tmp_path) == "17"
