"""Functions that a predicate may call: deterministic, of one row, and of bounded cost.

The names are DuckDB's; operators are functions too. What is not here is refused when a rule is loaded.
"""

from __future__ import annotations

_TABLE = """
operators: + - * / // % ^ ** || & | ~ << >> @ ->> ~~ !~~ ~~* !~~* ~~~ ^@ @> <@ &&
text: ascii bit_length chr concat concat_ws contains ends_with hamming jaccard jaro_similarity
  jaro_winkler_similarity lcase left length len levenshtein damerau_levenshtein editdist3 lower ltrim mismatches
  nfc_normalize ord position prefix replace reverse right rtrim split split_part starts_with str_split
  str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos substr substring
  suffix translate trim ucase unicode upper instr char_length character_length
regular expressions: regexp_matches regexp_full_match regexp_extract regexp_extract_all regexp_replace
  regexp_split_to_array regexp_escape
numbers: abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees even exp floor fmod gcd greatest
  greatest_common_divisor isfinite isinf isnan lcm least least_common_multiple ln log log10 log2 mod pi pow power
  radians round sign signbit sin sqrt tan trunc xor bit_count divide add subtract multiply
dates and times: date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add year month
  day hour minute second millisecond microsecond millennium century decade quarter week weekday weekofyear yearweek
  dayofmonth dayofweek dayofyear isodow isoyear epoch epoch_ms epoch_us epoch_ns era dayname monthname last_day
  make_date make_time make_timestamp timezone strftime strptime try_strptime to_timestamp to_years to_months
  to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds to_quarters time_bucket
lists: list_value list_contains list_has list_has_all list_has_any array_contains array_has array_has_all
  array_has_any list_position list_indexof array_position array_indexof array_length list_extract list_element
  array_extract list_slice array_slice list_sort list_distinct array_distinct list_unique array_unique list_concat
  list_cat array_concat list_append list_prepend list_intersect array_intersect list_reverse array_reverse
  list_first list_last list_sum list_avg list_min list_max list_count array_to_string flatten
JSON: json_extract json_extract_string json_extract_path json_extract_path_text json_exists json_contains json_type
  json_valid json_array_length json_keys json_value
choices: nullif if row
"""


def _functions() -> dict[str, str]:
    lines = _TABLE.strip().replace("\n  ", " ").splitlines()
    groups = (line.split(": ", 1) for line in lines)
    return {name: group for group, names in groups for name in names.split()}


FUNCTIONS: dict[str, str] = _functions()
"""Group by function name."""
