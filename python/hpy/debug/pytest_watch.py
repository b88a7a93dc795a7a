"""The half of the pytest plugin that watches tests and fixtures; there only when it is needed.

Violations are charged to the test or fixture in charge when they happen, and fail its phase.
Leaks are charged likewise, but judged when the fixtures of the test are gone: what a fixture closes
after the test is no leak. By then the outcome of the test's body has usually been told, so when
handles are open at the end of the body, its report is held back until after the teardown.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.nodes import Node
from _pytest.outcomes import Failed, Skipped
from _pytest.runner import CallInfo, call_and_report

from hpy.debug import reporting, suppressions
from hpy.debug.leakdetector import HPyDebugError, HPyLeakError
from hpy.debug.pytest_found import (
    LEAK_KINDS,
    SECTION,
    WRITTEN,
    Found,
    attach,
    counted_kinds,
    full_text,
    short_text,
)
from hpy.debug.pytest_ledger import Ledger, Owner, leaks_of, report_leaks_of
from hpy.debug.pytest_loop import Loop
from hpy.debug.pytest_options import Options
from hpy.debug.pytest_rules import Rules, is_marked, rules_of
from hpy.debug.violation import Violation

if TYPE_CHECKING:
    Outcome = Any  # pluggy.Result; pluggy 1.0 calls it otherwise
    FixtureDef = pytest.FixtureDef[Any]

WATCHER = pytest.StashKey["Watcher"]()


@dataclass
class _Run:
    """One execution of a test."""

    item: pytest.Item
    rules: Rules
    test: Owner
    loop: Loop | None = None
    in_body: bool = False
    amending: bool = False
    held: bool = False  # the report of the body has not been told yet
    told: bool = False  # it has
    body: pytest.TestReport | None = None
    raised: bool = False  # whether the body did; one that must fail and did not has failed too
    # Of the phase in progress.
    violations: list[tuple[Owner, Violation]] = field(default_factory=list)
    surfaced: list[Violation] = field(default_factory=list)  # in the report of a subtest


class Watcher:
    """Has the hooks of a run of pytest, and at its end what belongs to no test, in `outside`."""

    def __init__(self, options: Options) -> None:
        self.outside: list[Found] = []
        self._options = options
        self._ledger = Ledger()
        self._run: _Run | None = None
        self._fixtures: dict[int, Owner] = {}
        self._finished: list[Owner] = []
        self._subscription = reporting.subscribe(self._note)

    def close(self) -> None:
        """Ends the subscription."""
        self._subscription.cancel()

    def finish(self) -> None:
        """After the last test: judges fixtures that outlived it, since the run was stopped."""
        self._run = None
        if self._options.on:
            for owner in self._finished:
                self.outside.append(self._judge(owner.name, owner, rules_of(owner.node)))
        self._finished.clear()

    def checks_leaks(self, node: Node) -> bool:
        """Whether leaks fail this test."""
        return self._options.on or node.get_closest_marker("hpy_leaks") is not None

    def _note(self, violation: Violation) -> None:
        if violation.kind in LEAK_KINDS or violation.severity == "note":
            return  # leaks are judged at the end, whoever looked at them before
        owner = self._ledger.current
        if self._run is not None and owner is not None:
            self._run.violations.append((owner, violation))
        elif self._options.on:
            self.outside.append(Found(stories=[_json(violation)]))

    # ----------------------------------------------------------------------------------------------
    # The order of things

    @pytest.hookimpl
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Any:
        """As pytest's own, but for a report that may have to be held back."""
        option = item.config.option
        if not self.checks_leaks(item) or option.setuponly or option.setupshow:
            return None
        for implementation in self._others(item):
            values = {"item": item, "nextitem": nextitem}
            result = implementation.function(*(values[name] for name in implementation.argnames))
            if result is not None:
                return result
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._run_phases(item, nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _others(self, item: pytest.Item) -> Iterator[Any]:
        """Those of plugins that would be asked after this one and before pytest itself."""
        plugins = item.config.pluginmanager
        implementations = item.config.hook.pytest_runtest_protocol.get_hookimpls()
        own = next(i for i, found in enumerate(implementations) if found.plugin is self)
        for found in reversed(implementations[:own]):
            wrapper = found.hookwrapper or getattr(found, "wrapper", False)
            if not wrapper and found.plugin is not plugins.getplugin("runner"):
                yield found

    def _run_phases(self, item: Any, nextitem: pytest.Item | None) -> None:
        requests = hasattr(item, "_request")
        if requests and not item._request:
            item._initrequest()
        held: pytest.TestReport | None = None
        try:
            if call_and_report(item, "setup").passed:
                report = call_and_report(item, "call", log=False)
                if self._run is not None and self._run.held:
                    held = report
                else:
                    item.ihook.pytest_runtest_logreport(report=report)
            if item.session.shouldfail or item.session.shouldstop:
                nextitem = None  # all fixtures are torn down now, so that their errors are told
            after = call_and_report(item, "teardown", log=held is None, nextitem=nextitem)
            if held is not None:
                told, held = held, None
                item.ihook.pytest_runtest_logreport(report=told)
                item.ihook.pytest_runtest_logreport(report=after)
        finally:
            if held is not None:
                item.ihook.pytest_runtest_logreport(report=held)
            if requests:
                item._request = False
                item.funcargs = None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Outcome, None]:
        rules = rules_of(item)
        run = _Run(item, rules, Owner(item.nodeid, item))
        self._run = run
        if self._options.loop > 1 and self.checks_leaks(item):
            run.loop = Loop(item, self._options.loop, functools.partial(self._leaks_so_far, run))
            run.loop.install()
        self._ledger.push(run.test)
        outcome = yield
        if rules.error is not None and outcome.excinfo is None:
            _fail(outcome, rules.error)
        self._end_phase(run, outcome)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Outcome, None]:
        run = self._run_of(item)
        run.in_body = True
        outcome = yield
        run.in_body = False
        self._end_phase(run, outcome)
        run.held = self.checks_leaks(item) and bool(self._leaks_so_far(run))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Outcome, None]:
        run = self._run_of(item)
        outcome = yield
        if run.loop is not None:
            run.loop.remove()
        self._ledger.pop(run.test)
        self._end_phase(run, outcome)

    def _run_of(self, item: pytest.Item) -> _Run:
        """The one that pytest_runtest_setup began."""
        if self._run is None or self._run.item is not item:
            self._run = _Run(item, rules_of(item), Owner(item.nodeid, item))
        return self._run

    def _leaks_so_far(self, run: _Run) -> list[Violation]:
        self._ledger.note()
        return leaks_of(run.test)

    # ----------------------------------------------------------------------------------------------
    # Fixtures

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: FixtureDef, request: pytest.FixtureRequest
    ) -> Generator[None, Outcome, None]:
        owner = Owner(_name_of(fixturedef), request.node)
        self._fixtures[id(fixturedef)] = owner
        self._ledger.push(owner)
        yield
        self._ledger.pop(owner)
        # Finalizers are run last in, first out: this one before those of the fixture itself.
        fixturedef.addfinalizer(functools.partial(self._ledger.push, owner))

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_post_finalizer(self, fixturedef: FixtureDef) -> None:
        owner = self._fixtures.pop(id(fixturedef), None)
        if owner is not None:
            self._ledger.pop(owner)
            self._finished.append(owner)

    # ----------------------------------------------------------------------------------------------
    # Violations

    def _end_phase(self, run: _Run, outcome: Outcome) -> None:
        """Fails the phase for violations that did not fail it, and forgives what is allowed."""
        aside: list[Any] = vars(run.item).get("_excinfo") or []  # where unittest keeps exceptions
        aside[:] = [info for info in aside if not self._forgiven(run, info.value)]
        error = None if outcome.excinfo is None else outcome.excinfo[1]
        if error is not None and self._forgiven(run, error):
            outcome.force_result(None)
            error = None
        bad = [v for owner, v in run.violations if not self._allows(run, owner, v.kind)]
        if not self._options.on:
            bad = []  # the marker hpy_allow alone forbids nothing
        unseen = [violation for violation in bad if violation not in run.surfaced]
        if unseen and not aside and (error is None or isinstance(error, Skipped)):
            owners = [owner for owner, violation in run.violations if violation in unseen]
            _fail(outcome, _headline(run, owners[0], [_json(v) for v in unseen]))

    def _forgiven(self, run: _Run, error: BaseException) -> bool:
        """Whether this exception is about nothing but violations that are allowed."""
        if not isinstance(error, HPyDebugError) or not self._enforces(run):
            return False
        if isinstance(error, HPyLeakError):
            violations = list(error.violations)
        else:
            violations = [] if error.violation is None else [error.violation]
        owners = {violation: owner for owner, violation in run.violations}
        return bool(violations) and all(
            self._allows(run, owners.get(violation, run.test), violation.kind)
            or suppressions.active().know(violation)
            for violation in violations
        )

    def _enforces(self, run: _Run) -> bool:
        return self._options.on or is_marked(run.item)

    def _allows(self, run: _Run, owner: Owner, kind: str) -> bool:
        return kind in self._rules(run, owner).allowed

    def _rules(self, run: _Run, owner: Owner) -> Rules:
        return run.rules if owner.node is run.item else rules_of(owner.node)

    # ----------------------------------------------------------------------------------------------
    # Reports

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: CallInfo[None]
    ) -> Generator[None, Outcome, None]:
        outcome = yield
        run = self._run
        if run is None or run.item is not item or run.amending or outcome.excinfo is not None:
            return
        report: pytest.TestReport = outcome.get_result()
        if run.in_body:
            self._attach_to_subtest(run, report, call)
            return
        for owner in {id(owner): owner for owner, _ in run.violations}.values():
            attach(report, self._found_of(run, owner))
        run.violations.clear()
        run.surfaced.clear()
        if call.when == "call":
            run.body, run.raised = report, call.excinfo is not None
        elif call.when == "teardown":
            self._judge_test(run, report)
            self._judge_fixtures(run, report)
        if self._options.report is not None and hasattr(item.config, "workerinput"):
            path = self._options.report
            setattr(report, WRITTEN, os.path.getsize(path) if os.path.exists(path) else 0)

    def _found_of(self, run: _Run, charged: Owner) -> Found:
        """The violations of this phase that are charged to this one."""
        found = Found("" if charged is run.test else charged.name)
        for owner, violation in run.violations:
            if owner is not charged:
                continue
            allowed = self._rules(run, owner).allowed.get(violation.kind)
            if allowed is not None:
                found.allowed.append((violation.kind, allowed, violation.count))
            elif self._options.on:
                found.stories.append(_json(violation))
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._run is not None and report is self._run.body:
            self._run.told = True

    def _attach_to_subtest(
        self, run: _Run, report: pytest.TestReport, call: CallInfo[None]
    ) -> None:
        error = None if call.excinfo is None else call.excinfo.value
        if not isinstance(error, HPyDebugError) or error.violation is None:
            return
        run.surfaced.append(error.violation)
        if report.failed and error.violation.kind not in LEAK_KINDS:
            report.sections.append((SECTION, full_text([_json(error.violation)])))

    def _judge_test(self, run: _Run, report: pytest.TestReport) -> None:
        """At the end of the teardown: what the test left open fails its body."""
        if run.body is None or not self.checks_leaks(run.item):
            return
        if leaks_of(run.test):
            # The values of fixtures are dead, and may close what they own when they go.
            (getattr(run.item, "funcargs", None) or {}).clear()
        found = self._judge("", run.test, run.rules, run.loop)
        if found.stories:
            text = _headline(run, run.test, found.stories)
            if run.told:
                _fail_report(report, text)
            else:
                self._amend(run, run.body, text)
        attach(report if run.told else run.body, found)

    def _amend(self, run: _Run, body: pytest.TestReport, text: str) -> None:
        """Makes the report of the body one of a failure, the way pytest makes reports."""
        if body.failed and run.raised:
            return
        call = CallInfo.from_call(functools.partial(pytest.fail, text, pytrace=False), "call")
        run.amending = True
        try:
            made = run.item.ihook.pytest_runtest_makereport(item=run.item, call=call)
        finally:
            run.amending = False
        times = ("start", "stop", "duration")
        kept = {key: value for key, value in vars(body).items() if key in times}
        vars(body).update(vars(made))
        vars(body).update(kept)

    def _judge_fixtures(self, run: _Run, report: pytest.TestReport) -> None:
        """What fixtures that have ended left open makes the teardown an error.

        Also when one ended in the setup, for another parameter: the body is to run all the same.
        """
        finished, self._finished = self._finished, []
        if not self._options.on:
            return
        for owner in finished:
            if leaks_of(owner):
                (getattr(run.item, "funcargs", None) or {}).clear()
            found = self._judge(owner.name, owner, self._rules(run, owner))
            if found.stories:
                _fail_report(report, _headline(run, owner, found.stories))
            attach(report, found)

    def _judge(self, fixture: str, owner: Owner, rules: Rules, loop: Loop | None = None) -> Found:
        """What `owner` left open that counts, and what is allowed, on their way to the summary."""

        def counts(leak: Violation) -> bool:
            return leak.kind not in rules.allowed and (loop is None or loop.grows(leak))

        found = Found(fixture)
        leaks = leaks_of(owner, rules.ignore)
        for leak in leaks:
            if leak.kind in rules.allowed and (loop is None or loop.grows(leak)):
                found.allowed.append((leak.kind, rules.allowed[leak.kind], leak.count))
        if _total(filter(counts, leaks)) > rules.limit:
            kept = report_leaks_of(owner, rules.ignore, counts)
            if _total(kept) > rules.limit:
                found.stories += [_json(leak) for leak in kept]
        return found


def _total(leaks: Iterable[Violation]) -> int:
    return sum(leak.count for leak in leaks)


def _headline(run: _Run, owner: Owner, stories: Sequence[str]) -> str:
    """The first lines of a failure; the report of the violations is a section of its own."""
    who = "the test" if owner is run.test else owner.name
    leaks = all(Violation.from_json(story).kind in LEAK_KINDS for story in stories)
    verb = "left open what it did not close" if leaks else "broke the rules of HPy"
    lines = [f"{counted_kinds(stories)}: {who} {verb}", *short_text(stories)]
    return "\n    ".join(lines)


def _fail(outcome: Outcome, text: str) -> None:
    error = Failed(text, pytrace=False)
    if hasattr(outcome, "force_exception"):
        outcome.force_exception(error)
    else:  # pluggy 1.0
        outcome._result, outcome._excinfo = None, (Failed, error, None)


def _fail_report(report: pytest.TestReport, text: str) -> None:
    if report.failed:
        report.longrepr = f"{report.longreprtext}\n{text}"
    else:
        report.outcome, report.longrepr = "failed", text


def _name_of(fixturedef: FixtureDef) -> str:
    """For people: setup_module and its like are fixtures with names that pytest made up."""
    name = fixturedef.argname
    for prefix in ("_xunit_", "_unittest_"):
        if name.startswith(prefix):
            return name[len(prefix) :].partition("_fixture")[0]
    scope = "" if fixturedef.scope == "function" else f" ({fixturedef.scope} scope)"
    return f"the fixture {name!r}{scope}"


def _json(violation: Violation) -> str:
    import json

    return json.dumps(violation.to_dict(), ensure_ascii=False)
