"""The result of a check as a JUnit report, which forges and CI servers show beside the tests."""

from xml.etree import ElementTree as Xml

from jobmeter.model.budgets.judgement import Finding, Judgement
from jobmeter.report.check_words import limit_cell, sentence
from jobmeter.report.notes import job_identity
from jobmeter.report.text import clean


def check_junit(judgement: Judgement) -> str:
    """A test case a budget.

    One that fails the check is a failure, or an error where its measure is not known. What is over budget and only
    reported, or not known, is skipped: a report of tests has no other word for what neither passed nor failed.
    """
    name = job_identity(judgement.job) or "this run"
    suite = Xml.Element("testsuite", name=f"jobmeter check of {name}")
    for finding in judgement.findings:
        suite.append(_case(finding, judgement))
    counts = {"tests": len(judgement.findings)}
    for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        counts[plural] = len(suite.findall(f"testcase/{tag}"))
    suites = Xml.Element("testsuites", name="jobmeter check")
    suites.append(suite)
    for element in (suite, suites):
        for key, count in counts.items():
            element.set(key, str(count))
    Xml.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suites, encoding="unicode") + "\n"


def _case(finding: Finding, judgement: Judgement) -> Xml.Element:
    job = judgement.job
    group = clean(".".join(part for part in ("jobmeter", job.workflow, job.job) if part))
    budget = finding.budget
    name = clean(f"{budget.measure.title}: {budget.text if budget.is_relative else limit_cell(finding)}")
    case = Xml.Element("testcase", classname=group, name=name)
    text = sentence(finding, judgement)
    if finding.level == "error":
        tag = "failure" if finding.state == "breach" else "error"
        Xml.SubElement(case, tag, type=finding.state, message=text).text = text
    elif finding.state in ("breach", "unknown"):
        Xml.SubElement(case, "skipped", message=text)
    else:
        Xml.SubElement(case, "system-out").text = text
    return case
