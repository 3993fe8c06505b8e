"""Records: every line comes back as it went, and is of the published form."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.errors import UsageError
from bench.figures import ExploreFigures, Origin, StressFigures
from bench.observation import Rate
from bench.outcomes import Grade, Kind, Outcome
from bench.record import (
    VERSION,
    CellStatus,
    DescriptorSink,
    End,
    Facts,
    FileSink,
    Graded,
    Judged,
    Left,
    LeftKind,
    Notes,
    RecordLine,
    Test,
    TestStatus,
    dump,
    from_json,
    read_lines,
    read_run,
    to_json,
    write_run,
)
from bench.sampling import Mode
from bench.values import Json, encode
from bench.verdict import Status

SCHEMA = json.loads((Path(bench.__file__).parent / "schema" / "record-v1.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

NAMED: frozenset[str] = frozenset(
    {
        name
        for form in (
            *(SCHEMA["$defs"][name]["properties"] for name in ("facts", "observation", "outcome", "test")),
            *(SCHEMA["$defs"]["outcome"]["properties"][name]["properties"] for name in ("detail", "witness")),
        )
        for name in form
    }
)
"""The fields that lines have themselves, or that the schema gives a form."""

texts: st.SearchStrategy[str] = st.text(max_size=12)
names: st.SearchStrategy[str] = texts.filter(lambda text: text not in NAMED)
numbers = st.integers(-(2**53), 2**53)
seconds = st.floats(0, 1e6)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, json_values, max_size=3)
other_values = st.one_of(st.tuples(numbers), st.binary(max_size=3), st.floats(), st.sets(numbers, max_size=2))
optional_counts = st.none() | st.integers(0, 1024)

facts_lines = st.builds(
    Facts,
    cell=texts,
    python=texts,
    implementation=texts,
    method_asked=st.none() | texts,
    method_granted=st.none() | texts,
    cpus_asked=optional_counts,
    affinity=st.lists(st.integers(0, 1024), max_size=3).map(tuple),
    cpus_os=optional_counts,
    cpus_process=optional_counts,
    cpus_usable=st.integers(0, 1024),
    engine=texts,
    seed=numbers,
    more=objects,
)
outcomes = st.one_of(
    st.builds(Outcome, kind=st.just("value"), value=(json_values | other_values).map(encode)),
    st.builds(Outcome, kind=st.sampled_from(get_args(Kind)), detail=objects),
)
shares = st.floats(0, 1)
tally_fields = {
    "outcome": outcomes,
    "count": st.integers(0, 2**53),
    "rate": st.builds(Rate, median=shares, least=shares, greatest=shares),
    "witness": objects,
}
ungraded = st.builds(Graded, **tally_fields)
graded = st.builds(Graded, **tally_fields, grade=st.sampled_from(get_args(Grade)), why=texts)
judged_lines = st.builds(
    Judged,
    target=texts,
    mode=st.sampled_from(["repeat", "stress", "explore"]),
    cell=texts,
    samples=st.integers(0, 2**53),
    seconds=seconds,
    outcomes=st.lists(ungraded | graded, max_size=3).map(tuple),
    warnings=st.lists(texts, max_size=2).map(tuple),
    limits=st.lists(texts, max_size=2).map(tuple),
    verdict=st.sampled_from(get_args(Status)),
    why=texts,
    method=st.none() | texts,
    more=objects,
)

test_lines = st.builds(
    Test,
    cell=texts,
    id=texts,
    status=st.sampled_from(get_args(TestStatus)),
    seconds=seconds,
    signature=st.none() | texts,
    detail=st.none() | texts,
    more=objects,
)
notes_lines = st.builds(
    Notes,
    cell=texts,
    id=texts,
    left=st.lists(
        st.builds(Left, kind=st.sampled_from(get_args(LeftKind)), name=texts, fixture=st.none() | texts), max_size=3
    ).map(tuple),
    warnings=st.lists(texts, max_size=2).map(tuple),
    methods=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    strict=st.booleans(),
)
end_lines = st.builds(End, cell=texts, status=st.sampled_from(get_args(CellStatus)), why=texts, seconds=seconds)
any_lines: st.SearchStrategy[RecordLine] = st.one_of(facts_lines, judged_lines, test_lines, notes_lines, end_lines)


def read_back(data: bytes) -> RecordLine | None:
    return from_json(json.loads(data))


@given(any_lines)
def test_every_line_comes_back_as_it_went(line: RecordLine) -> None:
    data = dump(line)
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    assert read_back(data) == line


@given(any_lines)
def test_every_line_is_of_the_published_form(line: RecordLine) -> None:
    VALIDATOR.validate(json.loads(dump(line)))


@given(any_lines, objects)
def test_unknown_fields_change_nothing_that_is_known(line: RecordLine, more: dict[str, Any]) -> None:
    found = from_json({**{f"x-{name}": item for name, item in more.items()}, **to_json(line)})
    assert type(found) is type(line)
    match found, line:
        case (Facts(), Facts()):
            assert dataclasses.replace(found, more={}) == dataclasses.replace(line, more={})
        case (Test(), Test()):
            assert dataclasses.replace(found, more={}) == dataclasses.replace(line, more={})
        case (Judged(), Judged()):
            assert found.outcomes == line.outcomes
        case _:
            assert found == line


JUDGED = Judged("m:f", "stress", "local", 1, 0.1, (), verdict="pass")


@given(st.sampled_from([("stress", StressFigures), ("explore", ExploreFigures)]), objects, objects)
def test_figures_come_back_with_those_that_are_not_known(
    form: tuple[Mode, type[StressFigures | ExploreFigures]], fields: dict[str, Json], more: dict[str, Json]
) -> None:
    mode, kind = form
    line = dataclasses.replace(JUDGED, mode=mode, figures=kind(fields), more=more)
    assert read_back(dump(line)) == line
    assert to_json(line)[mode] == fields


@pytest.mark.parametrize(
    ("mode", "more"),
    [("stress", {"explore": {"claim": "all"}}), ("stress", {"stress": 7}), ("repeat", {"stress": {"seed": 3}})],
)
def test_a_field_that_cannot_hold_the_figures_of_the_mode_survives_as_an_unknown_one(
    mode: Mode, more: dict[str, Json]
) -> None:
    line = dataclasses.replace(JUDGED, mode=mode, more=more)
    assert read_back(dump(line)) == line
    assert {**to_json(line), **more} == to_json(line)


def test_figures_of_a_wrong_type_read_as_if_they_were_not_there() -> None:
    wrong: dict[str, Json] = {"collision_rate": "many", "rebuilt": [], "never_seen": [7, {"at_most": None}]}
    stress, explore = StressFigures(wrong), ExploreFigures({"claim": None, "seed": "x", "found": [], "asleep": 0.5})
    assert (stress.collision_rate, stress.rebuilt, stress.not_seen, stress.samples_per_second) == (None, None, (), None)
    assert (explore.claim, explore.seed, explore.origin, explore.asleep, explore.strategy) == (None, 0, None, 0, None)


def test_the_origin_of_an_explored_target_comes_back() -> None:
    origin = Origin("m", "/p", "m.py", "3.14.1", ("/lib",))
    figures = ExploreFigures({"claim": "all", "later": 1}).with_schedules(origin, "schedules/a.jsonl")
    assert figures.origin == origin
    assert figures.fields["schedule"] == "schedules/a.jsonl"
    assert (figures.claim, figures.fields["later"]) == ("all", 1)


@given(st.lists(any_lines, max_size=4), any_lines, st.data())
def test_a_torn_last_line_is_read_over(
    tmp_path_factory: pytest.TempPathFactory, whole: list[RecordLine], torn: RecordLine, data: st.DataObject
) -> None:
    last = dump(torn)
    cut = data.draw(st.integers(0, len(last) - 2))
    path = tmp_path_factory.mktemp("torn") / "cell.jsonl"
    path.write_bytes(b"".join(map(dump, whole)) + last[:cut])
    assert list(read_lines(path)) == whole


def test_a_broken_line_in_the_middle_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "cell.jsonl"
    path.write_bytes(dump(END) + b'{"v": 1, \n' + dump(END))
    with pytest.raises(UsageError, match=r"cell\.jsonl, line 2"):
        list(read_lines(path))


@pytest.mark.parametrize("content", [b"[1]\n", b"7\n", b'"text"\n', b"null\n"])
def test_what_is_json_and_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cell.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a record"):
        list(read_lines(path))


END = End("py314-spawn-cpu2", "pass", "", 1.5)


@pytest.mark.parametrize("version", [VERSION + 1, 99, None, "1"])
def test_a_newer_or_nameless_version_is_refused_by_name(version: object) -> None:
    with pytest.raises(UsageError, match=f"version {version!r}.*reads up to {VERSION}"):
        from_json({**to_json(END), "v": version})


def test_a_type_of_line_that_is_not_known_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "cell.jsonl"
    path.write_bytes(b'{"v": 1, "type": "weather", "cell": "x"}\n' + dump(END))
    assert list(read_lines(path)) == [END]


@pytest.mark.parametrize("missing", ["cell", "status", "seconds"])
def test_a_line_without_a_needed_field_is_refused(missing: str) -> None:
    data = to_json(END)
    del data[missing]
    with pytest.raises(UsageError, match="malformed end record"):
        from_json(data)


def test_both_sinks_write_the_same_bytes(tmp_path: Path) -> None:
    by_file, by_descriptor = tmp_path / "sub" / "a.jsonl", tmp_path / "b.jsonl"
    FileSink(by_file).write(END)
    with by_descriptor.open("wb") as file:
        DescriptorSink(file.fileno()).write(END)
    assert by_file.read_bytes() == by_descriptor.read_bytes() == dump(END)


def test_the_name_of_a_file_that_is_no_utf8_comes_back() -> None:
    line = End("c", "error", "cannot open '\udce9'", 0.0)
    assert read_back(dump(line)) == line


def test_run_json_comes_back_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, {"run": "r", "cells": []})
    assert read_run(tmp_path) == {"v": VERSION, "run": "r", "cells": []}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    (tmp_path / "run.json").write_text('{"v": 2}')
    with pytest.raises(UsageError, match="upgrade"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"v": "1"}'])
def test_a_folder_without_a_readable_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError):
        read_run(tmp_path)
