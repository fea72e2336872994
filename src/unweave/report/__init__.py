"""One self-contained page about a fitted model: plain words, numbers, figures, sliders."""

from ._answers import Answer as Answer
from ._answers import Picture as Picture
from ._answers import keep as keep
from ._answers import kept as kept
from ._answers import picture as picture
from ._content import Measure as Measure
from ._content import ReportContent as ReportContent
from ._equation import EquationContent as EquationContent
from ._from_run import content_of as content_of
from ._from_run import write_run_report as write_run_report
from ._latex import write_analysis as write_analysis
from ._latex import write_article as write_article
from ._page import render as render
from ._page import write_report as write_report
from ._words import capital as capital
from ._words import duration as duration
from ._words import sentence as sentence
from ._words import verdict as verdict
