"""Several parts of a bundle at once: as real as it is repeatable."""

from pathlib import Path

import apache_beam as beam
import meeting
import pytest
from adversary import outcome_of_one_run, outcome_under_attack
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.models.transform import MapChainAtOnce, MapPartsAtOnce, RunPartsAtOnce
from pipelines.run import run_transform
from pipelines.workspace.children import Limits
from pipelines.workspace.jobs import METER, PartKey, is_done
from pipelines.workspace.transform import ListParts
from pipelines.workspace.workspace import Workspace

LIMITS = Limits(processes=1)
KEYS = [PartKey("web", part) for part in range(6)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


class _Keys(beam.PTransform):
    def __init__(self, step: beam.PTransform, target: str) -> None:
        super().__init__()
        self._step, self._target = step, target

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        names = pipeline | ListParts(KEYS) | self._step | beam.Map(lambda key: f"{key.part}")
        return names | beam.io.WriteToText(self._target, shard_name_template="")


def test_parts_of_the_one_bundle_of_the_in_process_runner_meet(
    workspace: Workspace, tmp_path: Path
) -> None:
    met = meeting.call_meeting(2)
    job = meeting.MeetingJob()
    step = MapPartsAtOnce(workspace, {"web": job}, LIMITS, parts_at_once=2)
    run_transform(_Keys(step, str(tmp_path / "names")), [])
    assert met.most == 2
    assert all(is_done(workspace, job, key) for key in KEYS)
    assert sorted((tmp_path / "names").read_text().split()) == list("012345")


def test_a_chain_is_done_in_its_order_and_done_parts_pass_through(workspace: Workspace) -> None:
    first, second = meeting.WritingJob("first"), meeting.WritingJob("second")
    before = METER.read("first.parts"), METER.read("second.parts")
    first.run(workspace, KEYS[0], None)  # type: ignore[arg-type]
    chain = [{"web": first}, {"web": second}]
    run_transform(MapChainAtOnce(workspace, chain, KEYS, LIMITS), [])
    assert all(is_done(workspace, job, key) for job in (first, second) for key in KEYS)
    after = METER.read("first.parts"), METER.read("second.parts")
    assert (after[0] - before[0], after[1] - before[1]) == (5, 6)


def test_a_part_that_fails_lets_the_others_finish_and_none_begin(workspace: Workspace) -> None:
    meeting.call_meeting(2)
    job = meeting.SecondFails()
    dofn = RunPartsAtOnce(workspace, [{"web": job}], LIMITS, 2)
    dofn.start_bundle()
    passed = [*dofn.process(KEYS[0]), *dofn.process(KEYS[1])]
    with pytest.raises(LookupError, match="part 1 is not to be had"):
        passed += dofn.process(KEYS[2])
    assert job.began == {0, 1}
    assert is_done(workspace, job, KEYS[0])
    assert not is_done(workspace, job, KEYS[1])
    assert passed in ([], [KEYS[0]])


def test_an_error_of_the_last_parts_is_raised_at_the_end_of_the_bundle(
    workspace: Workspace,
) -> None:
    meeting.call_meeting(2)
    dofn = RunPartsAtOnce(workspace, [{"web": meeting.SecondFails()}], LIMITS, 2)
    dofn.start_bundle()
    assert [*dofn.process(KEYS[0]), *dofn.process(KEYS[1])] == []
    with pytest.raises(LookupError, match="part 1"):
        dofn.finish_bundle()
    assert is_done(workspace, meeting.SecondFails(), KEYS[0])


def test_the_end_of_a_bundle_names_what_was_not_named_before(workspace: Workspace) -> None:
    dofn = RunPartsAtOnce(workspace, [{"web": meeting.WritingJob()}], LIMITS, 2)
    dofn.start_bundle()
    named = [key for wanted in KEYS for key in dofn.process(wanted)]
    last = dofn.finish_bundle()
    assert all(isinstance(one, WindowedValue) for one in last)
    assert sorted(named + [one.value for one in last]) == KEYS


def test_the_outcome_under_attack_is_that_of_one_run(workspace: Workspace) -> None:
    dofn = RunPartsAtOnce(workspace, [{"web": meeting.WritingJob()}], LIMITS, 3)
    clean = outcome_of_one_run(Path(workspace.url), dofn, KEYS)
    assert len(clean) == len(KEYS)
    assert outcome_under_attack(Path(workspace.url), dofn, KEYS) == clean


def test_nothing_at_once_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="parts_at_once is 0; at least 1 is needed"):
        MapPartsAtOnce(workspace, {}, LIMITS, parts_at_once=0)
