"""Reads an exposition of OpenMetrics from standard input, strictly, and tells its families as lines of JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.read()):
    samples = [
        {
            "name": sample.name,
            "labels": sample.labels,
            "value": sample.value,
            "exemplar": sample.exemplar and [sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp)],
        }
        for sample in family.samples
    ]
    told = {"name": family.name, "type": family.type, "unit": family.unit, "samples": samples}
    print(json.dumps(told))
