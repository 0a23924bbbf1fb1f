"""What the desk in a file does, the desk on PostgreSQL does: the very same tests, on the other database."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.unit.desk import (
    test_audit,
    test_corrections,
    test_deliveries,
    test_facts,
    test_forgetting,
    test_paging,
    test_proposals,
    test_rejected,
    test_states,
)

pytestmark = pytest.mark.cluster

_ABOUT_FILES = {
    "test_a_hundred_thousand_alerts_are_taken_in_within_seconds",
    "test_a_record_over_a_mebibyte_lies_in_a_file_and_shows_its_head",
    "test_no_plate_stands_in_the_log_and_each_data_directory_has_its_own_hashes",
    "test_records_are_told_in_the_order_in_which_they_were_kept_first_and_again_when_all_was_forgotten",
    "test_rejected_records_go_with_the_files_of_large_ones",
    "test_retention_leaves_the_images_of_what_nobody_has_decided_or_exported",
    "test_the_place_in_the_log_is_kept_with_what_was_taken_in",
    "TestTriage",
}


def _tests(module: ModuleType) -> dict[str, object]:
    """The tests of a module, and the fixtures that are its own; `desk` is that of this directory."""
    wanted = {name: found for name, found in vars(module).items() if not name.startswith("__") and name != "desk"}
    return {name: found for name, found in wanted.items() if name not in _ABOUT_FILES}


for _module in (test_audit, test_corrections, test_deliveries, test_facts, test_forgetting, test_paging):
    globals().update(_tests(_module))
for _module in (test_proposals, test_rejected, test_states):
    globals().update(_tests(_module))
