"""One self-contained page about a fitted model: plain words, numbers, figures, sliders."""

from ._content import Measure as Measure
from ._content import ReportContent as ReportContent
from ._from_run import content_of as content_of
from ._from_run import write_run_report as write_run_report
from ._page import render as render
from ._page import write_report as write_report
from ._words import verdict as verdict
