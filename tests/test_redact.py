"""A report that can be sent: nothing secret is left in it, and it says the same."""

from __future__ import annotations

import base64
import gzip
import re

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports import redact as redaction
from ipctrace.reports.page import render
from ipctrace.reports.redact import redact
from ipctrace.tracer.schema import FACTS, TABLES

from ipctrace.run import Run

from .builders import TraceBuilder, completed_trace, deadlock_trace

SECRETS = ("s3cret-payload", "s3cret-word", "s3cret-value", "s3cret-folder", "10.1.2.3", "s3cret-note")


def secretive():
    """A run with a secret in every place from which one is to be left out."""
    build = TraceBuilder()
    parent = build.process("send.py")
    build.rows["processes"][0] |= {
        "argv": ["python", "send.py", "s3cret-word"], "cwd": "/home/s3cret-folder/work",
        "executable": "/home/s3cret-folder/bin/python",
    }  # fmt: skip
    pipe = build.pipe(parent)
    outside = build.site("/home/s3cret-folder/lib/tool.py", 3, "os.write(fd, data)")
    inside = build.site("/home/s3cret-folder/work/send.py", 7, "send(1)")
    build.channel("file", path="/home/s3cret-folder/key.pem")
    caller = build.datagram_socket(parent, "10.1.2.3:5000")
    build.call(parent, "socket.sendto", b"s3cret-payload", fd=caller.writer, size=14, result=14, address="10.1.2.3:53")
    build.write(parent, pipe.writer, b"s3cret-payload\n", site=outside)
    build.read(parent, pipe.reader, b"s3cret-payload\n", site=inside)
    build._add("environment", process=0, time=0, name="TOKEN", value="s3cret-value")
    return build.trace(
        ended="exit", status=0, program="send.py", command=["python", "send.py", "s3cret-word"],
        cwd="/home/s3cret-folder/work", environment={"PYTHONUNBUFFERED": "s3cret-value"},
        notes=["a log at /home/s3cret-note/x.log could not be read"], options={"python": "/home/s3cret-folder/bin/python"},
    )  # fmt: skip


def everything(html):
    """The page's text with all that is packed in it unpacked."""
    packed = re.findall(r'<script type="application/x-(?:column|blob)"[^>]*>([^<]*)</script>', html)
    return html + "".join(gzip.decompress(base64.b64decode(data)).decode("latin-1") for data in packed)


def test_the_secrets_are_in_the_whole_report():
    page = everything(render(analyze(secretive())))
    assert [secret for secret in SECRETS if secret not in page and secret != "s3cret-value"] == []


def test_no_secret_is_left():
    page = everything(render(analyze(redact(secretive()))))
    assert [secret for secret in SECRETS if secret in page] == []
    assert "s3cret" not in page


def test_what_a_report_is_about_is_left():
    trace = redact(secretive())
    assert trace.sites["file"].tolist() == ["…/tool.py", "send.py"]
    assert set(trace.sources["file"]) <= {"…/tool.py", "send.py"}
    assert trace.processes["argv"].tolist() == [["send.py"]]
    assert "host-1:53" in trace.events["address"].tolist()
    messages = analyze(trace).messages
    assert messages["size"].tolist() == analyze(secretive()).messages["size"].tolist()


def test_files_of_one_name_stay_apart():
    path = redaction._Paths("/work")
    assert [path(text) for text in ("/a/x.py", "/b/x.py", "/a/x.py", "/work/x.py", "<string>")] == [
        "…/x.py", "…2/x.py", "…/x.py", "x.py", "<string>",
    ]  # fmt: skip


@pytest.mark.parametrize("trace", [deadlock_trace, completed_trace])
def test_the_verdict_is_the_same(trace):
    whole, left = analyze(trace()).verdict, Run(trace()).redacted().verdict
    assert (left.name, left.rule, left.headline) == (whole.name, whole.rule, whole.headline)


def test_the_trace_itself_is_left_as_it_was():
    trace = secretive()
    before = {name: table.copy() for name, table in trace.tables.items()}
    redact(trace)
    for name, table in before.items():
        assert table.equals(trace.tables[name]), name


def test_every_text_of_the_schema_is_decided_about():
    texts = {
        (table.name, column.name) for table in TABLES.values() for column in table.columns if column.type == "text"
    }
    decided = redaction.PATHS | redaction.ADDRESSES | redaction.KEPT
    emptied = {(name, column.name) for name in redaction.EMPTIED for column in TABLES[name].columns}
    assert texts - emptied == decided - emptied


def test_every_fact_is_decided_about():
    assert set(redact(secretive()).facts) <= set(FACTS)
    assert set(FACTS) - set(redaction.FACTS_KEPT) == {"command", "cwd", "environment", "notes", "options", "order"}


def test_a_verdict_that_changed_is_told(monkeypatch):
    run = Run(deadlock_trace())
    run.analysis.verdict = type(run.verdict)("stalled", "likely", "Something else.", "", None)
    assert "With what was left out the verdict is: stalled." in run.redacted().facts["notes"]
