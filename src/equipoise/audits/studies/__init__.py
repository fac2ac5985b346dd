"""Published experiments repeated, and a survey of what weighted sums miss on real tables."""

from ...core.records.studies import EndRecord, RunsRecord, SurveyRecord, SurveyRow, TripleRecord, TriplesRecord
from .experiment import reproduce_triples
from .surveying import survey, survey_problem
from .tables import survey_table, triples_table

__all__ = [
    "EndRecord",
    "RunsRecord",
    "SurveyRecord",
    "SurveyRow",
    "TripleRecord",
    "TriplesRecord",
    "reproduce_triples",
    "survey",
    "survey_problem",
    "survey_table",
    "triples_table",
]
