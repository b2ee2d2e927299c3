"""From `ipctrace record pipes.py` to what the report says: the chapter's programs, recorded as a person records them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ipctrace.analysis.results import Analysis

from tests import recorded
from tests.interpreters import EACH

pytestmark = pytest.mark.chapter
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a proof needs /proc")


def without_pids(output: bytes) -> bytes:
    return re.sub(rb"\b\d{2,}\b(\.\d+)?", b"N", output)


def sites_of(analysis: Analysis, program: str) -> set[str]:
    sites = analysis.trace.sites
    return {f"{Path(row.file).name}:{row.function}" for row in sites.itertuples() if Path(row.file).name == program}


def source_line(analysis: Analysis, site: int) -> str:
    row = analysis.trace.sites.loc[site]
    sources = analysis.trace.sources
    return str(sources[(sources.file == row.file) & (sources.line == row.line)].text.iloc[0]).strip()


class TestPipes:
    """pipes.py with flushes: completes."""

    @pytest.mark.parametrize("where", ["pipe", "file", "terminal"])
    def test_prints_and_exits_as_it_does_by_itself(self, where: str, tmp_path: Path) -> None:
        program = recorded.CHAPTER / "pipes.py"
        how = {"terminal": where == "terminal", "stdout": tmp_path / "out.txt" if where == "file" else None}
        alone = recorded.run([sys.executable, str(program)], tmp_path, **how)  # type: ignore[arg-type]
        traced = recorded.record(tmp_path, program, options=["--quiet"], **how)  # type: ignore[arg-type]
        loud = recorded.record(tmp_path, program, **how)  # type: ignore[arg-type]
        assert without_pids(loud.output + loud.errors).startswith(without_pids(alone[1] + alone[2])), "then the verdict"
        assert (traced.status, without_pids(traced.output), without_pids(traced.errors)) == (
            alone[0], without_pids(alone[1]), without_pids(alone[2]),
        )  # fmt: skip

    def test_its_record_shows_who_waited_for_whom_and_every_message(self, tmp_path: Path) -> None:
        made = recorded.record(tmp_path, "pipes.py")
        analysis = made.run.analysis
        assert (made.status, analysis.verdict.name) == (0, "completed")
        assert sorted(analysis.process_names.values()) == ["child", "parent"]
        pipes = analysis.channels[(analysis.channels.kind == "pipe") & (analysis.channels.messages > 0)]
        assert sorted(pipes.name) == ["pipe A", "pipe B"]
        messages = analysis.messages[analysis.messages.channel.isin(pipes.channel)]
        assert [(analysis.names[m.writer], analysis.names[m.reader], source_line(analysis, m.accept_site)[:14]) for m in messages.itertuples()] == [
            ("parent", "child", 'print(f"Hello '), ("child", "parent", 'print(f"Child '),
            ("parent", "child", 'print(f"Hello '), ("child", "parent", 'print(f"Child '),
        ]  # fmt: skip
        assert all(b"Hello" in bytes(m.payload) for m in messages.itertuples())
        sleeps = analysis.blocking[analysis.blocking.reason == "sleep"]
        assert [analysis.names[thread] for thread in sleeps.thread] == ["child"] * 4
        waits = analysis.blocking[analysis.blocking.reason == "nodata"]
        assert {(analysis.names[w.thread], analysis.names[w.by]) for w in waits.itertuples()} >= {("parent", "child")}

    def test_its_flush_lines_are_there_and_inputs_own_flush(self, tmp_path: Path) -> None:
        run = recorded.record(tmp_path, "pipes.py").run
        flushes = run.events[(run.events.kind == "flush") & run.events.site.notna()]
        lines = [source_line(run.analysis, site) for site in flushes.site]
        assert lines.count("sys.stdout.flush()") >= 2
        inputs = run.events[run.events.kind == "input"].event
        assert flushes.parent.isin(inputs).any(), "input() flushes before it reads"


@linux_only
class TestDeadlock:
    """deadlock.py: the same without flushes."""

    @pytest.mark.parametrize(
        "options", [(), ("--buffering", "block")], ids=["output to a pipe", "--buffering block under PYTHONUNBUFFERED"]
    )
    def test_is_proven_explained_and_ended(self, options: tuple[str, ...], tmp_path: Path) -> None:
        environment = {"PYTHONUNBUFFERED": "1"} if options else {}
        made = recorded.record(tmp_path, "deadlock.py", options=options, **environment)
        analysis = made.run.analysis
        assert (made.status, analysis.verdict.name, analysis.verdict.certainty) == (86, "deadlock", "proven")
        assert analysis.verdict.rule == "IPC101"
        graph = analysis.graph
        assert graph is not None
        core = {analysis.names[w.thread] for w in graph.waiters if w.role == "core" and w.thread is not None}
        assert core == {"parent", "child"}
        pairs = {
            (graph.waiters[e.waiter].thread, graph.waiters[e.holder].thread)
            for e in graph.edges if graph.waiters[e.waiter].role == "core"
        }  # fmt: skip
        assert {tuple(analysis.names[t] for t in pair if t is not None) for pair in pairs} == {
            ("parent", "child"),
            ("child", "parent"),
        }
        (stuck,) = [s for s in graph.stuck if s.size]
        assert analysis.process_names[stuck.process] == "parent"
        assert stuck.payload.startswith(b"Hello 2 from parent") and stuck.size == len(stuck.payload)
        assert {source_line(analysis, site) for site, _ in stuck.pieces if site is not None} == {
            'print(f"Hello 2 from parent {me}")'
        }
        finding = analysis.findings[0]
        assert finding.rule == "IPC101"
        assert (
            finding.edit is not None and finding.edit.after.strip() == 'print(f"Hello 2 from parent {me}", flush=True)'
        )
        said = made.errors.decode()
        assert said.startswith("deadlock[IPC101]") or "\ndeadlock[IPC101]" in said
        assert f"{stuck.size} bytes" in said and "flush=True" in said

    def test_is_found_as_it_forms_and_not_by_a_time_out(self, tmp_path: Path) -> None:
        """No time limit was given, and nothing but the proof ends it; tests/bench/deadlock.py prints how soon."""
        facts = recorded.record(tmp_path, "deadlock.py").run.facts
        assert facts["options"]["duration"] is None
        assert facts["ended"] == "deadlock"

    def test_the_remedy_applied_cures_it(self, tmp_path: Path) -> None:
        for name in ("deadlock.py", "deadlock_child.py"):
            (tmp_path / name).write_text((recorded.CHAPTER / name).read_text())
        edit = recorded.record(tmp_path, tmp_path / "deadlock.py").run.findings[0].edit
        assert edit is not None
        lines = Path(edit.file).read_text().splitlines()
        assert lines[edit.line - 1] == edit.before
        lines[edit.line - 1] = edit.after
        Path(edit.file).write_text("\n".join(lines) + "\n")
        mended = recorded.record(tmp_path, tmp_path / "deadlock.py")
        assert (mended.status, mended.run.verdict.name) == (0, "completed")

    @pytest.mark.parametrize("how", ["PYTHONUNBUFFERED", "terminal"])
    def test_completes_elsewhere_and_the_trace_says_why(self, how: str, tmp_path: Path) -> None:
        if how == "terminal":
            made = recorded.record(tmp_path, "deadlock.py", terminal=True)
            expected = {
                "parent": ("line", "a terminal when Python started"),
                "child": ("block", "not a terminal when Python started"),
            }
        else:
            made = recorded.record(tmp_path, "deadlock.py", PYTHONUNBUFFERED="1")
            expected = dict.fromkeys(("parent", "child"), ("none", "PYTHONUNBUFFERED is set"))
        run = made.run
        assert (made.status, run.verdict.name) == (0, "completed")
        stdout = run.streams[run.streams.name == "sys.stdout"].drop_duplicates("process_name", keep="last")
        assert {s.process_name: (s.buffering, s.why) for s in stdout.itertuples()} == expected
        latent = [f for f in run.findings if f.rule == "IPC101"]
        assert [f.certainty for f in latent] == ["latent"]
        assert "Hello 2" in source_line(run.analysis, latent[0].sites[0])


class TestPipePrograms:
    """pipe_1.py, pipe_2.py, pipe_thread.py run for ever: they are recorded for a while."""

    @pytest.mark.parametrize("program", ["pipe_1.py", "pipe_2.py", "pipe_thread.py"])
    def test_is_stopped_cleanly_with_its_messages_in_order(self, program: str, tmp_path: Path) -> None:
        made = recorded.record(tmp_path, program, options=["--duration", "2"])
        analysis = made.run.analysis
        assert (made.status, analysis.verdict.name) == (0, "interrupted")
        assert analysis.trace.facts["left"] == []
        pipe = analysis.channels[(analysis.channels.kind == "pipe") & (analysis.channels.messages > 0)].channel
        messages = analysis.messages[analysis.messages.channel.isin(pipe)]
        texts = [bytes(m.payload).strip() for m in messages.itertuples()]
        assert len(texts) >= 5
        assert texts == [b"Spam %d" % (k % 5) for k in range(len(texts))]
        arrived = messages[messages.read.notna()]
        assert (arrived.read >= arrived.written).all()
        reader = int(arrived.reader.iloc[0])
        busy = analysis.busy.set_index("thread").loc[reader]
        assert busy.blocked > busy.lifetime / 2, "the reader waits most of the time"
        assert (analysis.busy.blocked + analysis.busy.running == analysis.busy.lifetime).all()

    def test_the_end_that_was_never_closed_is_noticed_only_where_it_was_not(self, tmp_path: Path) -> None:
        def leaks(program: str) -> list[str]:
            (tmp_path / program).mkdir()
            run = recorded.record(tmp_path / program, program, options=["--duration", "1"]).run
            return [f.message for f in run.findings if f.rule == "IPC301"]

        assert any(
            ("parent" in message and "write" in message) or "writing" in message for message in leaks("pipe_1.py")
        )
        assert leaks("pipe_2.py") == []

    def test_messages_without_a_boundary_run_together(self, tmp_path: Path) -> None:
        # The child writes four messages at once; the parent doesn't read before the pipe holds two of them.
        lines = {
            "import os": "import fcntl\nimport os\nimport termios",
            "        time.sleep(0.01)  # so that the parent reads one message before the next one comes\n": "",
            "k * pause": "(k % 5 == 4) * pause",
            "        message = os.read": "        while fcntl.ioctl(reading_end, termios.FIONREAD, bytes(4))[0] < 12:\n"
            "            pass\n        message = os.read",
        }
        source = (recorded.CHAPTER / "pipe_1.py").read_text()
        for line, changed in lines.items():
            assert line in source
            source = source.replace(line, changed)
        (tmp_path / "hasty.py").write_text(source)
        run = recorded.record(tmp_path, tmp_path / "hasty.py", options=["--duration", "1"]).run
        assert run.messages.merged.any()
        assert "IPC201" in {f.rule for f in run.findings}


def test_a_killed_child_leaves_every_event_and_its_open_call(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(
        "import os, signal\n"
        "r, w = os.pipe()\nup_read, up_write = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    for k in range(500): os.write(up_write, b'%03d' % k)\n"
        "    os.read(r, 1)\n"
        "got = b''\n"
        "while len(got) < 1500: got += os.read(up_read, 99)\n"
        "while open(f'/proc/{pid}/stat').read().split()[2] != 'S': pass\n"
        "os.kill(pid, signal.SIGKILL)\n"
        "os.waitpid(pid, 0)\n"
    )
    run = recorded.record(tmp_path, tmp_path / "killed.py").run
    child = run.processes[run.processes.parent.notna()].iloc[0]
    assert child.status == -9
    events = run.events[run.events.process == child.process]
    assert (events.op == "os.write").sum() == 500
    assert events[events.op == "os.write"].exit.notna().all()
    unfinished = events[events.exit.isna()]
    assert list(unfinished.op) == ["os.read"]


@pytest.mark.parametrize("python", EACH)
@pytest.mark.sample(2)
def test_the_chapter_under_each_interpreter(python: str, tmp_path: Path) -> None:
    (tmp_path / "deadlock").mkdir()
    done = recorded.record(tmp_path, "pipes.py", options=["--python", python])
    assert (done.status, done.run.verdict.name) == (0, "completed"), done.errors.decode()
    pipes = done.run.channels[(done.run.channels.kind == "pipe") & (done.run.channels.messages > 0)]
    assert sorted(pipes.messages) == [2, 2]
    hung = recorded.record(tmp_path / "deadlock", "deadlock.py", options=["--python", python])
    assert (hung.status, hung.run.verdict.name, hung.run.verdict.rule) == (86, "deadlock", "IPC101"), (
        hung.errors.decode()
    )
    assert [s.size for s in hung.run.analysis.graph.stuck if s.size] and len(hung.run.findings[0].sites)  # type: ignore[union-attr]
