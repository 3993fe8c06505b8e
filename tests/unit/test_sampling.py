"""How targets are sampled, and the options that say it from one command line to the next."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.sampling import MODES, NAMES, Sampling, parse_modes

positive = st.none() | st.floats(1e-9, 1e12)
samplings = st.builds(
    Sampling,
    modes=st.lists(st.sampled_from(MODES), unique=True).map(lambda names: tuple(sorted(names, key=MODES.index))),
    samples=st.none() | st.integers(1, 10**18),
    seconds=positive,
    deadline_s=positive,
    seed=st.integers(0, 2**63),
)


@given(samplings, st.sampled_from(["--", "--bench-"]))
def test_a_sampling_is_read_back_from_its_arguments(sampling: Sampling, prefix: str) -> None:
    parser = argparse.ArgumentParser()
    for name in NAMES:
        parser.add_argument(f"{prefix}{name}", dest=name, action="append" if name == "mode" else "store")
    read = vars(parser.parse_args(sampling.to_arguments(prefix)))
    assert Sampling.from_arguments(read, prefix) == sampling


def test_numbers_are_written_as_a_person_would() -> None:
    assert Sampling((), 5, 2.0, 0.25, 3).to_arguments() == [
        "--seed",
        "3",
        "--samples",
        "5",
        "--seconds",
        "2",
        "--deadline",
        "0.25",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"samples": "0"}, "--samples '0': give a whole number from 1"),
        ({"samples": "1.5"}, "--samples '1.5': give a whole number from 1"),
        ({"seconds": "inf"}, "--seconds 'inf': give a number above 0"),
        ({"deadline": "-1"}, "--deadline '-1': give a number above 0"),
        ({"seed": "-1"}, "--seed '-1': give a whole number from 0"),
        ({"mode": ["guess"]}, "--mode 'guess': there are repeat, stress and explore"),
    ],
)
def test_a_wrong_option_is_reported_by_its_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Sampling.from_arguments({**dict.fromkeys(NAMES), **wrong})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "wrong", [{"samples": 0}, {"seconds": -1.0}, {"deadline_s": float("nan")}, {"modes": ("fast",)}]
)
def test_a_sampling_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Sampling(**wrong)


def test_open_settings_come_from_the_defaults_but_for_the_seed() -> None:
    own = Sampling((), samples=3, seed=7)
    assert own.with_defaults(Sampling(("stress",), 9, 2.0, 1.0, 8)) == Sampling(("stress",), 3, 2.0, 1.0, 7)
    assert Sampling(("repeat",)).with_defaults(Sampling(MODES)).modes == ("repeat",)


def test_a_number_of_samples_is_meant_for_repeat_where_there_are_other_modes() -> None:
    several = Sampling(("repeat", "stress"), samples=5)
    assert several.of_mode("repeat", 0.5) == Sampling(("repeat",), samples=5)
    assert several.of_mode("stress", 0.5) == Sampling(("stress",), seconds=0.5)
    assert Sampling(("stress",), samples=5).of_mode("stress", 0.5) == Sampling(("stress",), samples=5)


def test_seconds_that_are_asked_for_go_before_a_mode_s_budget() -> None:
    assert Sampling(("stress",), seconds=2.0).of_mode("stress", 0.5).seconds == 2.0
    assert Sampling(("stress",), samples=5, seconds=2.0).of_mode("stress").keywords() == {
        "samples": 5,
        "seconds": 2.0,
        "deadline_s": None,
        "seed": 0,
    }


def test_names_are_read_from_lists_each_once_and_in_order() -> None:
    assert parse_modes(["stress,repeat", "repeat"]) == ("repeat", "stress")
    assert parse_modes([]) == ()
    with pytest.raises(UsageError, match="mode 'guess': there are repeat"):
        parse_modes(["repeat,guess"])
