"""Runs Beam pipelines: on the in-process runner unless the user names another.

On any other runner the work is elsewhere, and this process sees of it what the runner tells: the
counters of Beam, asked for every few seconds, and the ledger, where they are silent. Both go to the
meter, as if the work had been done here (`pipelines.workspace.meter`). Watching never ends a run: a
job server that gives no counters is a run without figures.
"""

import difflib
import importlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipelines.beam_options import JOB_SERVER_OPTIONS, KINDS, kind_of, parse
from pipelines.runners import choose, is_in_process
from pipelines.watching.committed import CommittedParts
from pipelines.watching.watch import Watch, current_watch
from pipelines.workspace.meter import METER, NAMESPACE, Elsewhere

# Beam warns through the root logger, at import, of each optional package that is not installed.
logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser  # noqa: E402

logging.disable(logging.NOTSET)

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineResult

# Named in full: plain "DirectRunner" of Beam 2.77 first looks for a Prism binary on the network.
IN_PROCESS: Final = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_PROCESSES: Final = "multi_processing"
"""The mode of the in-process runner in which it starts further processes."""
_POLL_S: Final = 3.0
_LEDGER_S: Final = 10.0
_LEDGER_SHARE: Final = 20  # times as long as a look at the ledger took passes before the next
_CANCEL_S: Final = 15.0
_JAVA: Final = frozenset({"spark", "flink", "portable"})
"""Runners whose job server knows options of its own."""
_IS_NEAR: Final = 0.85  # of difflib: a letter or two of ten; related names of options are further
_MAY_BE: Final = 0.7  # good enough for a hint


def run_transform(
    transform: beam.PTransform, beam_args: Sequence[str], watch: Watch | None = None
) -> None:
    """Runs one transform as a pipeline and waits for its end.

    Ctrl-C cancels a job that runs elsewhere, or says that it goes on and how to stop it.

    Args:
        transform: Takes a pipeline.
        beam_args: Options for Beam, such as `--runner=SparkRunner`; what is missing is chosen.
        watch: Of the stage that this is a pipeline of; the current one, if not given.

    Raises:
        RuntimeError: The runner says that the pipeline did not succeed.
        ValueError: The options can only fail.
    """
    watch = watch or current_watch()
    watch.begin_pipeline()
    chosen = choose(beam_args)
    if chosen.args != tuple(beam_args):  # else whoever chose has told it
        watch.say_once((*chosen.says, *check_options(chosen.args)))
    pipeline = beam.Pipeline(options=_options(chosen.args))
    _ = pipeline | transform
    if is_in_process(chosen.args) and not any(_PROCESSES in arg for arg in chosen.args):
        state = pipeline.run().wait_until_finish()
    else:
        state = _run_elsewhere(pipeline, getattr(transform, "committed_parts", None), watch)
    if state not in (None, "DONE"):
        raise RuntimeError(f"the pipeline ended as {state}; see the runner's own log")


def check_options(beam_args: Sequence[str]) -> tuple[str, ...]:
    """Refuses options that would be dropped in silence, before any work.

    Beam drops what it does not know. Only a Java job server may know more: its own names pass
    (`JOB_SERVER_OPTIONS`), and of others what is not spelt almost like a known one.

    Args:
        beam_args: Options for Beam, completed by `choose` or as they were typed.

    Returns:
        A line for each option that is sent to a job server unread.

    Raises:
        ValueError: An option is unknown or has no such value, or a runner cannot be imported.
    """
    kind = _runner_of(beam_args)
    parser = _parser()
    _, unknown = parser.parse_known_args(list(beam_args))
    known = {name for action in parser._actions for name in action.option_strings}
    takes_more = kind in _JAVA or kind is None
    if takes_more:
        servers = ("all", kind) if kind in JOB_SERVER_OPTIONS else tuple(JOB_SERVER_OPTIONS)
        known |= {f"--{name}" for server in servers for name in JOB_SERVER_OPTIONS[server]}
    if unknown and not unknown[0].startswith("-"):
        raise ValueError(_not_known(unknown[0], []))
    unread = []
    for option in (arg.partition("=")[0] for arg in unknown if arg.startswith("-")):
        if option in known:
            continue
        least = _IS_NEAR if takes_more else _MAY_BE
        near = difflib.get_close_matches(option, sorted(known), n=1, cutoff=least)
        if not takes_more or (near and "." not in option):
            raise ValueError(_not_known(option, near))
        unread.append(
            f"{option} is an option that neither tokenmill nor Beam knows; it goes to the runner, "
            "which drops what it does not know"
        )
    return tuple(unread)


def _not_known(option: str, near: Sequence[str]) -> str:
    nearest = f"the nearest that is allowed is {near[0]}" if near else "nothing allowed is near it"
    return (
        f"found {option}, an option that neither tokenmill nor Beam knows; {nearest}; correct or "
        "remove it (see `tokenmill run --help` and Beam's pipeline options)"
    )


def _parser() -> Any:  # noqa: ANN401 - Beam has no types
    """Beam's own parser of options, whose mistakes are errors of the user's."""

    def refuse(message: str) -> None:
        raise ValueError(f"options for Beam: found a mistake: {message}; correct it")

    parser = _BeamArgumentParser(add_help=False, allow_abbrev=False)
    parser.error = refuse
    # A class that was defined twice counts once, as in PipelineOptions.get_all_options.
    for options in {str(cls): cls for cls in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    return parser


def _runner_of(beam_args: Sequence[str]) -> str | None:
    """The kind of runner; one that is named by its class is imported, with its own options.

    Raises:
        ValueError: There is no such class.
    """
    runner = parse(beam_args).runner
    kind = kind_of(runner)
    if runner is not None and "." in runner:
        module, _, name = runner.rpartition(".")
        try:
            getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(
                f"--runner: found {runner}, which cannot be imported ({error}); allowed are "
                f"DirectRunner, {', '.join(KINDS.values())} or the full path of a runner's class "
                "that is installed here or on PYTHONPATH; correct it"
            ) from None
    return kind


def counters_of(result: "PipelineResult") -> dict[str, int]:
    """The counters of ours that a runner tells, added up over the steps of the pipeline.

    The attempted amounts, because a retry that finds its part committed counts nothing, so that
    Beam's committed amounts lack what the first attempt did. But Prism 2.77 gives as attempted only
    what bundles under way have told, and as committed what is of bundles that are done; so the
    larger of the two.
    """
    # Beam 2.77 keeps the first answer of a portable job server for ever.
    if getattr(result, "_metrics", None) is not None:
        result._metrics = None
    total: Counter[str] = Counter()
    for found in result.metrics().query()["counters"]:
        name = found.key.metric
        if name.namespace == NAMESPACE:
            total[name.name] += max(found.attempted or 0, found.committed or 0)
    return dict(total)


def _run_elsewhere(
    pipeline: beam.Pipeline, parts: CommittedParts | None, watch: Watch
) -> str | None:
    """Runs a pipeline and keeps the meter informed until its end."""
    elsewhere, looks, over = METER.elsewhere(), _Looks(parts), threading.Event()
    result: PipelineResult | None = None

    def poll() -> None:
        while not over.wait(_POLL_S):
            _note(elsewhere, result, looks.parts())

    poller = threading.Thread(target=poll, name="counters", daemon=True)
    poller.start()
    try:
        result = pipeline.run()  # in processes of this machine: to its end
        state: str | None = result.wait_until_finish()
    except KeyboardInterrupt:
        if result is not None:
            _cancel(result, watch.say)
        raise
    finally:
        over.set()
        poller.join(_POLL_S)
        _note(elsewhere, result, looks.parts(at_last=True))
    return state


class _Looks:
    """Looks at the ledger now and then; seldom where a look takes long."""

    def __init__(self, parts: CommittedParts | None) -> None:
        self._parts = parts
        self._next = 0.0
        self._known: dict[str, int] = {}
        try:
            if parts is not None:
                parts.begin()
        except Exception as error:  # watching never ends a run
            logging.getLogger(__name__).debug("no look at the ledger: %s", error)
            self._parts = None

    def parts(self, *, at_last: bool = False) -> Mapping[str, int]:
        """Name of the meter -> parts that are committed; nothing where that is not known."""
        started = time.monotonic()
        if self._parts is not None and (at_last or started >= self._next):
            try:
                self._known = {self._parts.name: self._parts.count()}
            except Exception as error:  # a store that is away for a moment; the workers will tell
                logging.getLogger(__name__).debug("no look at the ledger: %s", error)
            now = time.monotonic()
            self._next = now + max(_LEDGER_S, _LEDGER_SHARE * (now - started))
        return self._known


def _note(elsewhere: Elsewhere, result: "PipelineResult | None", parts: Mapping[str, int]) -> None:
    """Takes the counters of now, and the ledger's parts where those are more."""
    try:
        counters = {} if result is None else counters_of(result)
    except Exception as error:  # whatever a job server does not know is no reason to end a run
        logging.getLogger(__name__).debug("no counters: %s", error)
        counters = {}
    for name, amount in parts.items():
        counters[name] = max(counters.get(name, 0), amount)
    elsewhere.note(counters)


def _cancel(result: "PipelineResult", say: Callable[[str], None]) -> None:
    """Cancels a job because the user wants to stop, or says how to."""
    name = _name_of(result)
    say(f"cancelling {name}; what is committed stays")
    failed: list[Exception] = []

    def cancel() -> None:
        try:
            result.cancel()
        except Exception as error:
            failed.append(error)

    canceller = threading.Thread(target=cancel, name="cancel", daemon=True)
    canceller.start()
    canceller.join(_CANCEL_S)
    if canceller.is_alive() or failed:
        why = f"{type(failed[0]).__name__}: {failed[0]}" if failed else "no answer"
        how = "gcloud dataflow jobs cancel" if _is_dataflow(result) else "the page of your cluster"
        say(f"{name} was not cancelled ({why}) and may go on; stop it by {how}")


def _is_dataflow(result: "PipelineResult") -> bool:
    return type(result).__name__.startswith("Dataflow")


def _name_of(result: Any) -> str:  # noqa: ANN401 - each runner has its own
    identity = result.job_id() if _is_dataflow(result) else getattr(result, "_job_id", None)
    return f"job {identity}" if identity else "the job"


def _options(beam_args: Sequence[str]) -> PipelineOptions:
    # Else a line for each bundle, and the traceback of an error that is raised to the user anyway.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    check_options(beam_args)
    args = list(beam_args)
    if is_in_process(args):
        args.append(f"--runner={IN_PROCESS}")  # the last one counts
    return PipelineOptions(args)
